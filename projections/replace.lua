-- Puts a whole view in place, from values that were built beside it.
--
-- KEYS  values, view, changes, building
-- ARGV  epoch, term, position, revision, updated_at, length of the stream, keys, the stream entry (6),
--       id of the replay (empty: none)
--
-- OK      in place
-- FENCED  a newer projector has written
-- PAST    the view is of a later history
-- LOST    what was built is not there any more, or not all of it
local epoch, position, keys = ARGV[1], ARGV[3], tonumber(ARGV[7])

local function keep(key, kind)
  if redis.call('TYPE', key).ok ~= kind then redis.call('DEL', key) end
end
keep(KEYS[2], 'hash')
keep(KEYS[3], 'stream')

local seen = redis.call('HMGET', KEYS[2], 'epoch', 'term')
local function refuse(why)
  redis.call('UNLINK', KEYS[4])
  return why
end
if seen[1] and before(epoch, seen[1]) then return refuse('PAST') end
if seen[1] == epoch and (tonumber(seen[2]) or 0) > tonumber(ARGV[2]) then return refuse('FENCED') end
if redis.call('HLEN', KEYS[4]) ~= keys then return 'LOST' end

redis.call('UNLINK', KEYS[1])
if keys > 0 then
  redis.call('RENAME', KEYS[4], KEYS[1])
  redis.call('PERSIST', KEYS[1])
end
redis.call('HSET', KEYS[2], 'epoch', epoch, 'term', ARGV[2], 'position', position, 'revision', ARGV[4],
  'keys', keys, 'updated_at', ARGV[5])
if ARGV[14] ~= '' then redis.call('HSET', KEYS[2], 'replay', ARGV[14]) end

-- The stream goes on if it is of this history and ends at this position or before; else it starts anew.
local id, last = position .. '-0', redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
if seen[1] == epoch and last and last[1] == id then return 'OK' end
if seen[1] ~= epoch then redis.call('DEL', KEYS[3]) end
local function add() return redis.pcall('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], id, unpack(ARGV, 8, 13)) end
local added = add()
if type(added) == 'table' and added.err then
  redis.call('DEL', KEYS[3])
  added = add()
end
if type(added) == 'table' and added.err then return added end
return 'OK'

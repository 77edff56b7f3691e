-- Applies one change set to one view: whole, or not at all.
--
-- KEYS  values, view, changes
-- ARGV  epoch, term, position, prev, revision, updated_at, length of the stream, n,
--       the stream entry (6), n keys each with its entry, then the keys to delete
--
-- OK      applied
-- DONE    the view includes the change set already
-- EPOCH   the view is of another history
-- PAST    the view is of a later history
-- FENCED  a newer projector has written
-- GAP     the change set does not fit on what is here: the view must be put in place anew
--
-- The epoch comes first: terms of two histories can not be compared, and a history that was restored from a backup counts
-- its terms from there. Whoever still writes from the history before that is refused.
local epoch, term, position, prev = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local seen = redis.call('HMGET', KEYS[2], 'epoch', 'term', 'position', 'keys')
local wrote, at, keys = tonumber(seen[2]) or 0, tonumber(seen[3]) or 0, tonumber(seen[4]) or 0
if seen[1] and before(epoch, seen[1]) then return 'PAST' end
if seen[1] and seen[1] ~= epoch then return 'EPOCH' end
if wrote > term then return 'FENCED' end
-- Values that were lost would else pass for complete, with a new count.
if redis.call('HLEN', KEYS[1]) ~= keys then return 'GAP' end
if at >= position then
  if wrote < term then redis.call('HSET', KEYS[2], 'term', ARGV[2]) end
  return 'DONE'
end
if at ~= prev then return 'GAP' end

-- The one command that can refuse comes before all others: a script that fails is not rolled back.
local added = redis.pcall('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], ARGV[3] .. '-0', unpack(ARGV, 9, 14))
if type(added) == 'table' and added.err then
  if string.find(added.err, 'equal or smaller', 1, true) then return 'GAP' end
  return added
end

-- In pieces: Lua passes at most some 8,000 arguments.
local function each(command, from, to)
  for i = from, to, 4000 do
    redis.call(command, KEYS[1], unpack(ARGV, i, math.min(i + 3999, to)))
  end
end
local sets = 14 + 2 * tonumber(ARGV[8])
each('HSET', 15, sets)
each('HDEL', sets + 1, #ARGV)

redis.call('HSET', KEYS[2], 'epoch', epoch, 'term', ARGV[2], 'position', ARGV[3], 'revision', ARGV[5],
  'keys', redis.call('HLEN', KEYS[1]), 'updated_at', ARGV[6])
return 'OK'

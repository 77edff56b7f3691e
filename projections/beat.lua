-- Renews the heartbeat, if what is there is what this projector wrote last.
--
-- KEYS  projector
-- ARGV  epoch, term, position, head, updated_at, position written last (-1: write whatever is there)
--
-- OK      written
-- FENCED  a newer projector has written
-- PAST    a projector of a later history has written
-- LOST    what was written last is not there: Redis has lost something, perhaps everything
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local seen = redis.call('HMGET', KEYS[1], 'epoch', 'term', 'position')
if seen[1] and before(ARGV[1], seen[1]) then return 'PAST' end
if seen[1] == ARGV[1] and (tonumber(seen[2]) or 0) > tonumber(ARGV[2]) then return 'FENCED' end
if ARGV[6] ~= '-1' then
  local mine = seen[1] == ARGV[1] and seen[2] == ARGV[2]
  -- Its own position is there when the answer to the same beat was lost.
  if not mine or (seen[3] ~= ARGV[6] and seen[3] ~= ARGV[3]) then return 'LOST' end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'term', ARGV[2], 'position', ARGV[3], 'head', ARGV[4], 'updated_at', ARGV[5])
return 'OK'

-- Deletes a view.
--
-- KEYS  values, view, changes
-- ARGV  epoch, term
--
-- OK      deleted
-- FENCED  a newer projector has written
-- PAST    the view is of a later history
local seen = redis.call('HMGET', KEYS[2], 'epoch', 'term')
if seen[1] and before(ARGV[1], seen[1]) then return 'PAST' end
if seen[1] == ARGV[1] and (tonumber(seen[2]) or 0) > tonumber(ARGV[2]) then return 'FENCED' end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
return 'OK'

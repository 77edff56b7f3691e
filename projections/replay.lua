-- Tells how far a replay is.
--
-- KEYS  replay
-- ARGV  its id, then its fields and values
--
-- OK    told
-- LOST  it is not there any more
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' or redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 'LOST' end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 'OK'

-- Asks for a replay, unless one is under way, and answers with the fields and values of the one that is then.
-- KEYS[1] the hash; ARGV its fields and values.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'asked' and state ~= 'running' then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], unpack(ARGV))
end
return redis.call('HGETALL', KEYS[1])

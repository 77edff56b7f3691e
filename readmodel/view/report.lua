-- Puts the report of one instance in place, and takes away a few that are over: the hash does not grow with restarts.
-- KEYS[1] the hash; ARGV: instance, report (a JSON object, not empty), ms until it is over, ms for which it is shown then.
-- The time is this server's, so that readers whose clocks differ agree on who is gone.
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local times = string.format('{"expires_at":%.0f,"reported_at":%.0f,', ms + ARGV[3], ms)
redis.call('HSET', KEYS[1], ARGV[1], times .. string.sub(ARGV[2], 2))
local some = redis.call('HRANDFIELD', KEYS[1], 4, 'WITHVALUES')
for i = 1, #some, 2 do
  local expires = tonumber(string.match(some[i + 1], '^{"expires_at":(%d+),'))
  if not expires or expires + ARGV[4] < ms then
    redis.call('HDEL', KEYS[1], some[i])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3] + ARGV[4])
return ms

-- Adds entries to values that are being built beside a view. They expire, should nobody put them in place.
--
-- KEYS  building
-- ARGV  seconds to live, keys each with its entry (at most some 4,000 of both)
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 'OK'

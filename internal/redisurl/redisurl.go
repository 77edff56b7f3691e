// Package redisurl parses the one string by which a Redis is given on command lines and in the environment.
package redisurl

import "github.com/redis/go-redis/v9"

// Parse returns client options for a single server, a cluster or a sentinel-managed primary:
//
//	redis://user:password@host:6379/0           one server (rediss:// with TLS, unix:///path for a socket)
//	redis://host:6379?addr=host2:6379&addr=…    a cluster
//	redis://sentinel:26379?master_name=mymaster a primary found through sentinels (addr=… for more of them)
//
// An error never repeats the password.
func Parse(s string) (*redis.UniversalOptions, error) { panic("unwritten") }

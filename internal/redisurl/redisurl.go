// Package redisurl parses the one string by which a Redis is given on command lines and in the environment.
package redisurl

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Parse returns client options for a single server, a cluster or a sentinel-managed primary:
//
//	redis://user:password@host:6379/0           one server (rediss:// with TLS, unix:///path for a socket)
//	redis://host:6379?addr=host2:6379&addr=…    a cluster (of one known address: name it twice)
//	redis://sentinel:26379?master_name=mymaster a primary found through sentinels (addr=… for more of them)
//
// User and password are those of the servers; sentinels may have sentinel_username and sentinel_password. The further
// parameters are those of [redis.ParseURL], such as read_timeout=3s. Deadlines of contexts hold for commands.
//
// An error never repeats the password.
func Parse(s string) (*redis.UniversalOptions, error) {
	u, err := split(s)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	query := u.Query()
	take := func(name string) []string {
		values := query[name]
		query.Del(name)
		return values
	}
	more := take("addr")
	master := strings.Join(take("master_name"), "")
	sentinelUser := strings.Join(take("sentinel_username"), "")
	sentinelPassword := strings.Join(take("sentinel_password"), "")
	u.RawQuery = query.Encode()

	one, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, fmt.Errorf("redis URL: %s", strings.TrimPrefix(err.Error(), "redis: "))
	}
	o := universal(one)
	for _, addr := range more {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("redis URL: addr=%s is not host:port", addr)
		}
		o.Addrs = append(o.Addrs, addr)
	}
	o.MasterName, o.SentinelUsername, o.SentinelPassword = master, sentinelUser, sentinelPassword
	o.IsClusterMode = len(more) > 0 && master == ""
	if err := check(o, u.Scheme); err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	return o, nil
}

// split parses s as a URL. What the standard library says of a bad one may hold a part of the password, if characters
// in it that mean something in a URL were not encoded; so does a part that should have no @.
func split(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || strings.Contains(u.EscapedPath()+u.RawQuery+u.EscapedFragment()+u.Opaque, "@") {
		return nil, errors.New("write redis://user:password@host:port/0, special characters in the password percent-encoded")
	}
	switch u.Scheme {
	case "redis", "rediss":
		if u.Hostname() == "" && u.Port() != "" {
			return nil, errors.New("the host is missing")
		}
	case "unix":
		if u.Host != "" {
			return nil, errors.New("write unix:///path/of/socket, with three slashes")
		}
	default:
		return nil, errors.New("begin with redis://, rediss:// or unix://")
	}
	return u, nil
}

// universal turns options for one server into those for any.
func universal(o *redis.Options) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:                   []string{o.Addr},
		Username:                o.Username,
		Password:                o.Password,
		DB:                      o.DB,
		TLSConfig:               o.TLSConfig,
		Protocol:                o.Protocol,
		ClientName:              o.ClientName,
		MaxRetries:              o.MaxRetries,
		MinRetryBackoff:         o.MinRetryBackoff,
		MaxRetryBackoff:         o.MaxRetryBackoff,
		DialTimeout:             o.DialTimeout,
		ReadTimeout:             o.ReadTimeout,
		WriteTimeout:            o.WriteTimeout,
		PoolFIFO:                o.PoolFIFO,
		PoolSize:                o.PoolSize,
		PoolTimeout:             o.PoolTimeout,
		MinIdleConns:            o.MinIdleConns,
		MaxIdleConns:            o.MaxIdleConns,
		MaxActiveConns:          o.MaxActiveConns,
		MaxConcurrentDials:      o.MaxConcurrentDials,
		PipelinePoolSize:        o.PipelinePoolSize,
		PipelineReadBufferSize:  o.PipelineReadBufferSize,
		PipelineWriteBufferSize: o.PipelineWriteBufferSize,
		ConnMaxIdleTime:         o.ConnMaxIdleTime,
		ConnMaxLifetime:         o.ConnMaxLifetime,
		ConnMaxLifetimeJitter:   o.ConnMaxLifetimeJitter,
		ContextTimeoutEnabled:   true,
	}
}

// check refuses what does not go together, and lets each of several servers be known by its own name.
func check(o *redis.UniversalOptions, scheme string) error {
	if !o.IsClusterMode && o.MasterName == "" {
		if o.SentinelUsername+o.SentinelPassword != "" {
			return errors.New("sentinel_username and sentinel_password need master_name")
		}
		return nil
	}
	if scheme == "unix" {
		return errors.New("a cluster or sentinels are not reached over one socket")
	}
	if o.IsClusterMode && o.DB != 0 {
		return errors.New("a cluster has no database but 0")
	}
	if o.TLSConfig != nil {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.TLSConfig.InsecureSkipVerify}
	}
	return nil
}

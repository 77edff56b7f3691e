package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/holdfast-config/holdfast/eventlog"
)

// measureHTTP: durable commands a second over HTTP, against etcd's put over gRPC and over its JSON gateway.
func (b *bench) measureHTTP(ctx context.Context) error {
	const clients = 64
	if err := b.startAPI(ctx); err != nil {
		return err
	}
	var mine, put, gateway []float64
	for range b.rounds {
		b.progress("commands over HTTP, %d clients", clients)
		rate, err := b.postLoop(ctx, clients)
		if err != nil {
			return err
		}
		mine = append(mine, rate)
		if rate, err = b.etcd.putLoop(ctx, clients, b.duration); err != nil {
			return err
		}
		put = append(put, rate)
		if rate, err = b.etcd.gatewayLoop(ctx, clients, b.duration); err != nil {
			return err
		}
		gateway = append(gateway, rate)
	}
	rate, name := median(mine), fmt.Sprintf("commands over HTTP, %d clients", clients)
	b.report.add(figure{name: name, value: perSecond(rate), peer: "etcd put " + perSecond(median(put)), ratio: rate / median(put), bound: 1})
	b.report.add(figure{name: name, value: perSecond(rate), peer: "etcd JSON gateway " + perSecond(median(gateway)), ratio: rate / median(gateway), bound: 1.5})
	return nil
}

func (b *bench) startAPI(ctx context.Context) error {
	log, err := eventlog.Open(ctx, eventlog.Config{URL: b.system.database, Logger: quiet})
	if err != nil {
		return err
	}
	defer log.Close()
	if err := b.defineOnce(ctx, log); err != nil {
		return err
	}
	return b.system.startProcesses(ctx)
}

func (b *bench) postLoop(ctx context.Context, clients int) (float64, error) {
	hc := httpClient(clients)
	defer hc.CloseIdleConnections()
	url := b.system.api + "/v1/namespaces/" + string(benchNS) + "/commands"
	return closedLoop(ctx, clients, b.duration, func(ctx context.Context, c int) error {
		return postJSON(ctx, hc, url, setBody(string(clientKey(c)), b.value.Add(1)))
	})
}

func setBody(key string, value int64) string {
	return `{"commands":[{"do":"set","key":"` + key + `","value":` + strconv.FormatInt(value, 10) + `}]}`
}

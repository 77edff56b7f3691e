package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-config/holdfast/eventlog"
)

// measureHTTP: durable commands a second over HTTP, against etcd's put over gRPC, where clients have a connection each as
// they have here or share eight, and over its JSON gateway; and how much is left when the projector follows on the same
// processors, as it does in production on others.
func (b *bench) measureHTTP(ctx context.Context) error {
	const clients = 64
	if err := errors.Join(b.define(ctx), b.system.startAPI(ctx)); err != nil {
		return err
	}
	var own, shared, gateway []float64
	alone, err := b.rates("commands over HTTP", func() (float64, error) { return b.postLoop(ctx, clients) },
		turn(&own, func() (float64, error) { return b.etcd.putLoop(ctx, clients, clients, b.duration) }),
		turn(&shared, func() (float64, error) { return b.etcd.putLoop(ctx, clients, etcdConnections, b.duration) }),
		turn(&gateway, func() (float64, error) { return b.etcd.gatewayLoop(ctx, clients, b.duration) }))
	if err != nil {
		return err
	}
	name := fmt.Sprintf("commands over HTTP, %d clients", clients)
	b.report.add(figure{name: name, value: perSecond(alone), peer: "etcd put, a connection each, " + perSecond(median(own)), ratio: alone / median(own), bound: 1})
	b.report.add(figure{name: name, value: perSecond(alone), peer: "etcd put, eight connections, " + perSecond(median(shared)), ratio: alone / median(shared), bound: 1})
	b.report.add(figure{name: name, value: perSecond(alone), peer: "etcd JSON gateway " + perSecond(median(gateway)), ratio: alone / median(gateway), bound: 1.5})

	if err := b.system.startProjector(ctx); err != nil {
		return err
	}
	followed, err := b.rates("commands over HTTP, projected", func() (float64, error) { return b.postLoop(ctx, clients) })
	if err != nil {
		return err
	}
	b.report.add(figure{name: name + ", projector running", value: perSecond(followed), peer: "without " + perSecond(alone), ratio: followed / alone})
	return nil
}

// turn is one side's turn in a round.
func turn(into *[]float64, measure func() (float64, error)) func() error {
	return func() error {
		rate, err := measure()
		*into = append(*into, rate)
		return err
	}
}

// rates takes the median of measure over the rounds, each followed by the others' turns.
func (b *bench) rates(what string, measure func() (float64, error), others ...func() error) (float64, error) {
	var rates []float64
	for range b.rounds {
		b.progress("%s", what)
		rate, err := measure()
		if err != nil {
			return 0, err
		}
		rates = append(rates, rate)
		for _, other := range others {
			if err := other(); err != nil {
				return 0, err
			}
		}
	}
	return median(rates), nil
}

// define makes the bench namespace, unless it is there.
func (b *bench) define(ctx context.Context) error {
	log, err := eventlog.Open(ctx, eventlog.Config{URL: b.system.database, Logger: quiet})
	if err != nil {
		return err
	}
	defer log.Close()
	return b.defineOnce(ctx, log)
}

func (b *bench) postLoop(ctx context.Context, clients int) (float64, error) {
	url := b.system.api + "/v1/namespaces/" + string(benchNS) + "/commands"
	return postLoop(ctx, url, clients, b.duration, func(c int) string { return setBody(string(clientKey(c)), b.value.Add(1)) })
}

func setBody(key string, value int64) string {
	return `{"commands":[{"do":"set","key":"` + key + `","value":` + strconv.FormatInt(value, 10) + `}]}`
}

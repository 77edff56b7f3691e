package pgsource_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/testenv"
	"github.com/holdfast-config/holdfast/readmodel"
	"github.com/holdfast-config/holdfast/readmodel/pgsource"
)

// A service that may reach Postgres reads the log itself while Redis is down.
func ExampleNew() {
	url, end := logOfShop()
	defer end()
	quiet := slog.New(slog.DiscardHandler)
	r, err := readmodel.Open(context.Background(), "shop", readmodel.Config{
		Redis:  "redis://127.0.0.1:1", // nobody answers there
		Latest: pgsource.New(pgsource.Config{URL: url, Logger: quiet}),
		Logger: quiet,
	})
	if err != nil {
		panic(err)
	}
	defer r.Close()
	e, _ := r.Get("pages")
	fmt.Println(e.Value, r.Status().State, r.Status().Source)
	// Output: 20 log postgres
}

// logOfShop returns the URL of a log with one namespace, and what drops it.
func logOfShop() (url string, end func()) {
	t, end := testenv.Example()
	_, url = testenv.Database(t)
	ctx := context.Background()
	log, err := eventlog.Open(ctx, eventlog.Config{URL: url})
	if err != nil {
		panic(err)
	}
	defer log.Close()
	_, err = log.Append(ctx, eventlog.Request{Namespace: "shop", Actor: "ada"}, func(config.Tree) ([]events.Event, error) {
		return []events.Event{events.NamespaceCreated{Open: true}, events.ValueSet{Key: "pages", Value: "20"}}, nil
	})
	if err != nil {
		panic(err)
	}
	return url, end
}

package readmodel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/sse"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// How long the api source waits for what.
const (
	apiConnect = 2 * time.Second
	apiAnswer  = 3 * time.Second // for the head of the answer
	// A snapshot comes in one event: what a reader takes is bounded by what a namespace may hold, not by this.
	maxAPIEvent = 1 << 30
)

// apiSource reads the latest events from the api's watch, which has them from the log itself.
type apiSource struct {
	base   *url.URL
	where  string // for errors: "api at host:port"
	client *http.Client
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
}

func newAPISource(base string) (*apiSource, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("Config.API is no http:// or https:// URL") // the cause may repeat a password
	}
	s := &apiSource{base: u, where: "api at " + u.Host}
	s.client = &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: apiConnect}).DialContext,
		TLSHandshakeTimeout:   apiConnect,
		ResponseHeaderTimeout: apiAnswer,
		ForceAttemptHTTP2:     true,
	}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func (s *apiSource) Name() string { return "api" }

func (s *apiSource) Close() error {
	s.cancel()
	return nil
}

// errOtherHistory: the log's history is not the one that the reader has.
var errOtherHistory = errors.New("the log has another history than what is shown")

func (s *apiSource) Follow(ctx context.Context, ns events.Namespace, have view.Head, sink Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	defer s.client.CloseIdleConnections()
	err := s.watch(ctx, ns, have, sink)
	if errors.Is(err, errOtherHistory) {
		err = s.watch(ctx, ns, view.Head{}, sink) // the api can not know: positions of both histories may overlap
	}
	return fmt.Errorf("%s: %w", s.where, err)
}

// watch passes on what the api sends after have, until it ends.
func (s *apiSource) watch(ctx context.Context, ns events.Namespace, have view.Head, sink Sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(loadTime, func() { cancel(fmt.Errorf("%w for %s", errSilent, silence)) })
	defer silent.Stop()
	body, err := s.open(ctx, ns, have)
	if err != nil {
		return err
	}
	defer body.Close()
	stream := sse.NewReader(heard{body, silent}, maxAPIEvent)
	w := watching{namespace: ns, epoch: have.Epoch, sink: sink}
	for {
		ev, err := stream.Next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("watch: %w", err)
		}
		if err := w.take(ev); err != nil {
			return err
		}
	}
}

// heard resets a timer whenever something is read.
type heard struct {
	io.Reader
	silent *time.Timer
}

func (h heard) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if n > 0 {
		h.silent.Reset(silence)
	}
	return n, err
}

func (s *apiSource) open(ctx context.Context, ns events.Namespace, have view.Head) (io.ReadCloser, error) {
	at := s.base.JoinPath("v1", "namespaces", string(ns), "watch")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", sse.ContentType)
	if have.Epoch != "" {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(int64(have.Position), 10))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp.Body, nil
}

// refusal is what the api says of why it does not answer.
func refusal(resp *http.Response) error {
	var problem struct {
		Detail string `json:"detail"`
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	if json.Unmarshal(text, &problem) != nil || problem.Detail == "" {
		return fmt.Errorf("watch: %s", resp.Status)
	}
	return fmt.Errorf("watch: %s: %s", resp.Status, problem.Detail)
}

// watching is a watch under way.
type watching struct {
	namespace events.Namespace
	epoch     string // of what the sink has
	sink      Sink
}

func (w *watching) take(ev sse.Event) error {
	switch ev.Name {
	case view.EventSnapshot:
		return w.snapshot(ev.Data)
	case view.EventChange:
		return w.change(ev.Data)
	case view.EventBookmark:
		b, err := view.ParseBookmark(ev.Data)
		switch {
		case err != nil:
			return err
		case b.Epoch != w.epoch:
			return errOtherHistory
		}
		w.sink.Confirm(b.Position, b.Head, time.Now())
	case view.EventOverflow:
		return errors.New("this reader took too long to take what the api sent")
	case view.EventGoodbye:
		return errors.New("the api process ends")
	}
	return nil // a reset's snapshot follows; what this version does not know is no change
}

func (w *watching) snapshot(data []byte) error {
	s, err := view.ParseSnapshot(data)
	switch {
	case err != nil:
		return err
	case s.Namespace != w.namespace:
		return fmt.Errorf("it answers for namespace %s, not %s", s.Namespace, w.namespace)
	case !w.sink.Load(s.Head(), s.Values):
		return fmt.Errorf("its view of %s is at %d, behind what is shown", w.namespace, s.Position)
	}
	w.epoch = s.Epoch
	w.sink.Confirm(s.Position, s.Position, time.Now()) // the log was just read
	return nil
}

func (w *watching) change(data []byte) error {
	cs, err := view.ParseChangeSet(data)
	switch {
	case err != nil:
		return err
	case cs.Epoch != w.epoch:
		return errOtherHistory
	case !w.sink.Apply(cs):
		return fmt.Errorf("the change at %d does not follow what is shown", cs.Position)
	}
	return nil
}

package source

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Shared returns options with which many sources share connections and the configuration
// of AWS, unless o has its own. parallel is how many requests all of them may have under
// way. Call end to close the connections.
func (o Options) Shared(parallel int) (shared Options, end func()) {
	end = func() {}
	if o.Transport == nil {
		t := newTransport(parallel)
		o.Transport, end = t, t.CloseIdleConnections
	}
	load := o.AWS
	if load == nil {
		load = defaultAWS
	}
	o.AWS = once(load)
	return o, end
}

// once returns a load that succeeds once. Credentials in the configuration are cached and
// renewed by its provider.
func once(load func(ctx context.Context) (aws.Config, error)) func(ctx context.Context) (aws.Config, error) {
	var mu sync.Mutex
	var loaded *aws.Config
	return func(ctx context.Context) (aws.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		if loaded == nil {
			cfg, err := load(ctx)
			if err != nil {
				return cfg, err
			}
			loaded = &cfg
		}
		return loaded.Copy(), nil
	}
}

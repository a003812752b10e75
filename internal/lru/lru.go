// Package lru is a cache for data that was read from an image.
package lru

import (
	"container/list"
	"sync"
)

// A Cache keeps the most recently used entries, up to a total size. It is safe
// for concurrent use.
type Cache[K comparable, V any] struct {
	Max int64 // of the sizes together

	mu    sync.Mutex
	used  int64
	order list.List // of *kept[K, V], the last used first
	at    map[K]*list.Element
}

type kept[K comparable, V any] struct {
	key   K
	value V
	size  int64
}

// Get returns the value of a key, if it is kept.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.at[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*kept[K, V]).value, true
}

// Put keeps a value, unless it is larger than all that may be kept.
func (c *Cache[K, V]) Put(key K, value V, size int64) {
	if size > c.Max {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.at[key]; ok {
		return
	}
	if c.at == nil {
		c.at = map[K]*list.Element{}
	}
	c.at[key] = c.order.PushFront(&kept[K, V]{key, value, size})
	for c.used += size; c.used > c.Max; {
		last := c.order.Remove(c.order.Back()).(*kept[K, V])
		delete(c.at, last.key)
		c.used -= last.size
	}
}

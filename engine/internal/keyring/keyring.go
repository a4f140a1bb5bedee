// Package keyring holds the API keys of a running process. They may change while requests are being checked.
package keyring

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"gopkg.in/yaml.v3"
)

// Key is an API key with its secret.
type Key struct{ ID, Secret string }

// MinSecret is the length that LiveKit calls safe. It logs a shorter secret as an error and starts.
const MinSecret = 32

// IsDev tells whether this is the pair of `livekit-server --dev`, which everybody knows. lkhub gives it to a hub that is
// not on the internet, where the spec asks for it.
func IsDev(id, secret string) bool { return id == "devkey" && secret == "secret" }

var errNoKey = errors.New("it holds no key; the form is `APIkey: secret`, one to a line")

// Parse reads a key file. The keys keep the file's order, which a decoded map does not: the first one is the current
// key. No error quotes a key or a secret, as the two may be swapped.
func Parse(text []byte) ([]Key, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, errors.New("it is not YAML; the form is `APIkey: secret`, one to a line")
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode || len(document.Content[0].Content) == 0 {
		return nil, errNoKey
	}
	pairs := document.Content[0].Content
	var keys []Key
	known := map[string]bool{}
	for i := 0; i+1 < len(pairs); i += 2 {
		id, secret := pairs[i], pairs[i+1]
		switch {
		case id.Kind != yaml.ScalarNode || secret.Kind != yaml.ScalarNode || strings.TrimSpace(id.Value) == "":
			return nil, fmt.Errorf("line %d is no key with its secret; the form is `APIkey: secret`", id.Line)
		case len(secret.Value) < MinSecret && !IsDev(id.Value, secret.Value):
			return nil, fmt.Errorf("line %d: a secret is too short: %d characters, should be at least %d", id.Line, len(secret.Value), MinSecret)
		case known[id.Value]:
			return nil, fmt.Errorf("line %d: this key is in the file twice", id.Line)
		}
		known[id.Value] = true
		keys = append(keys, Key{id.Value, secret.Value})
	}
	return keys, nil
}

// Ring is a set of API keys that is replaced as a whole. It is an auth.KeyProvider of livekit/protocol.
type Ring struct {
	own Key
	now atomic.Pointer[held]
}

// held never changes after it was stored.
type held struct {
	keys    []Key
	secrets map[string]string
}

// New holds at least one key, the current one first. own is a key that the process knows besides: it asks itself with
// that key, and never tells it.
func New(own Key, keys []Key) *Ring {
	r := &Ring{own: own}
	r.Swap(keys)
	return r
}

// Swap replaces the keys, and returns those that are gone. A request whose key is gone is refused from now on.
func (r *Ring) Swap(keys []Key) (gone []string) {
	next := &held{keys: keys, secrets: map[string]string{r.own.ID: r.own.Secret}}
	for _, key := range keys {
		next.secrets[key.ID] = key.Secret
	}
	before := r.now.Swap(next)
	if before == nil {
		return nil
	}
	for _, key := range before.keys {
		if next.secrets[key.ID] != key.Secret {
			gone = append(gone, key.ID)
		}
	}
	return gone
}

// GetSecret is the secret of a key, "" if the ring does not have the key.
func (r *Ring) GetSecret(id string) string { return r.now.Load().secrets[id] }

// NumKeys is how many keys the ring has.
func (r *Ring) NumKeys() int { return len(r.now.Load().keys) }

// Own is the key that the process never tells.
func (r *Ring) Own() Key { return r.own }

// Current is the key to sign with.
func (r *Ring) Current() Key { return r.now.Load().keys[0] }

// Keys are all keys but the process's own, the current one first.
func (r *Ring) Keys() []Key { return r.now.Load().keys }

// Choose is the key with this ID, or the current key if the ring does not have it.
func (r *Ring) Choose(id string) Key {
	now := r.now.Load()
	for _, key := range now.keys {
		if key.ID == id {
			return key
		}
	}
	return now.keys[0]
}

package roster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"lkhub/engine/internal/message"
)

// Client asks media for its roster. There may be two media processes, of which one is ending.
type Client struct {
	Sockets []string
	https   []*http.Client
}

// rosterPatience is more than media takes for any answer. If media hangs, the relay must still be able to ask again.
const rosterPatience = 2 * time.Second

// maxAnswer has room for the identities of more participants than there are ports.
const maxAnswer = 16 << 20

// NewClient returns nil if there is no socket, as with a livekit-server of the operator's own.
func NewClient(sockets []string) *Client {
	if len(sockets) == 0 {
		return nil
	}
	c := &Client{Sockets: sockets}
	for _, socket := range sockets {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
		c.https = append(c.https, &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: rosterPatience})
	}
	return c
}

// Ask asks all media processes about participants, by their SIDs. It fails if a process that is there does not answer,
// or if none is there: its participants must not count as gone.
func (c *Client) Ask(ctx context.Context, participants []string) (Presence, error) {
	all := Presence{In: map[string]string{}}
	body, err := message.Marshal(request{participants})
	if err != nil {
		return all, err
	}
	var absent error
	answers := 0
	for _, client := range c.https {
		said, err := ask(ctx, client, body)
		if len(c.https) > 1 && isAbsent(err) {
			absent = err
			continue
		}
		if err != nil {
			return all, err
		}
		answers++
		maps.Copy(all.In, said.In)
		all.Left = append(all.Left, said.Left...)
	}
	if answers == 0 {
		return all, absent
	}
	all.Left = slices.DeleteFunc(all.Left, func(participant string) bool { _, in := all.In[participant]; return in })
	return all, nil
}

// isAbsent says whether nothing listens at a control socket.
func isAbsent(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

func ask(ctx context.Context, client *http.Client, body []byte) (Presence, error) {
	var said Presence
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://media/participants", bytes.NewReader(body))
	if err != nil {
		return said, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return said, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return said, fmt.Errorf("media answered %s", answer.Status)
	}
	return said, json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&said)
}

package roster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"lkhub/engine/internal/message"
)

// Client asks media for its roster.
type Client struct {
	Socket string
	http   *http.Client
}

// rosterPatience is more than media takes for any answer. If media hangs, the relay must still be able to ask again.
const rosterPatience = 2 * time.Second

// maxAnswer has room for the identities of more participants than there are ports.
const maxAnswer = 16 << 20

// NewClient returns nil if there is no socket, as with a livekit-server of the operator's own.
func NewClient(socket string) *Client {
	if socket == "" {
		return nil
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket, &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: rosterPatience}}
}

// Ask asks about participants, by their SIDs.
func (c *Client) Ask(ctx context.Context, participants []string) (Presence, error) {
	var said Presence
	body, err := message.Marshal(request{participants})
	if err != nil {
		return said, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://media/participants", bytes.NewReader(body))
	if err != nil {
		return said, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return said, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return said, fmt.Errorf("media answered %s", answer.Status)
	}
	return said, json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&said)
}

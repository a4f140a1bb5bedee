package sfu

import (
	"context"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
)

// roomsClient asks this process's own server over HTTP, as upstream exports no list of its rooms in process.
type roomsClient struct {
	url    string
	key    string
	secret string
	http   *http.Client
	api    livekit.RoomService
}

func newRoomsClient(address, key, secret string) *roomsClient {
	client := &http.Client{
		Transport: &http.Transport{}, // no proxy from the environment: this is our own address
		Timeout:   2 * time.Second,
	}
	url := "http://" + address
	return &roomsClient{url, key, secret, client, livekit.NewRoomServiceProtobufClient(url, client)}
}

// waitForAnswer returns nil as soon as the server answers HTTP, whatever it answers.
func (c *roomsClient) waitForAnswer(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return err
	}
	retry := time.NewTicker(2 * time.Millisecond) // longer than a refused connection on this machine takes
	defer retry.Stop()
	for {
		response, err := c.http.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// names lists the rooms that the server knows, sorted.
func (c *roomsClient) names(ctx context.Context) ([]string, error) {
	token, err := auth.NewAccessToken(c.key, c.secret).
		SetVideoGrant(&auth.VideoGrant{RoomList: true}).
		SetValidFor(time.Minute).
		ToJWT()
	if err != nil {
		return nil, err
	}
	ctx, err = twirp.WithHTTPRequestHeaders(ctx, http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		return nil, err
	}
	list, err := c.api.ListRooms(ctx, &livekit.ListRoomsRequest{})
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list.Rooms))
	for i, room := range list.Rooms {
		names[i] = room.Name
	}
	slices.Sort(names)
	return names, nil
}

// reachable is the address to connect to for a bind address.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	switch ip := net.ParseIP(host); {
	case host == "":
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

package portmap

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestSearchIsRepeatedAndEnds(t *testing.T) {
	router, where := startIGD(t)
	router.mute = 1
	where.searches = slices.Repeat([]search{{where.searches[0].target, 50 * time.Millisecond}}, 200)
	if _, err := where.search(context.Background()); err != nil {
		t.Error(err)
	}
	router.lock.Lock()
	router.mute = 1000
	router.lock.Unlock()
	where.searches = where.searches[:2]
	_, err := where.search(context.Background())
	expect(t, err, NoAnswer, "does not answer a search")
}

func TestSearchFromAnAddressThatIsNotOursIsTold(t *testing.T) {
	_, where := startIGD(t)
	where.local = netip.MustParseAddr("192.0.2.1")
	_, err := where.search(context.Background())
	expect(t, err, NoAnswer, "no search on the network")
}

// The answers name another server in every place where a device can name one.
func TestNothingButTheGatewayIsAsked(t *testing.T) {
	var lock sync.Mutex
	var asked []string
	elsewhere := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		lock.Lock()
		defer lock.Unlock()
		asked = append(asked, request.URL.Path)
	}))
	listener, err := net.Listen("tcp4", "127.0.0.2:0")
	if err != nil {
		t.Skipf("no second address of loopback: %v", err)
	}
	elsewhere.Listener.Close()
	elsewhere.Listener = listener
	elsewhere.Start()
	defer elsewhere.Close()
	t.Setenv("HTTP_PROXY", elsewhere.URL)

	router, where := startIGD(t)
	router.locations = []string{elsewhere.URL + "/location", "ftp://127.0.0.1/x", router.base + "/description.xml"}
	router.control = elsewhere.URL + "/control"
	_, err = (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	expect(t, err, NoAnswer, "offers no port mapping")

	redirecting := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/redirected", http.StatusTemporaryRedirect))
	defer redirecting.Close()
	router.locations = []string{redirecting.URL + "/x"}
	_, err = (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	expect(t, err, NoAnswer, "307")

	found := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/found", http.StatusFound))
	defer found.Close()
	router.locations = []string{router.base + "/description.xml"}
	router.control = found.URL + "/control"
	_, err = (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	expect(t, err, Refused, "302")

	if answer, err := where.httpClient().Get(elsewhere.URL + "/direct"); err == nil {
		answer.Body.Close()
		t.Error("the client reaches others")
	}
	lock.Lock()
	defer lock.Unlock()
	if asked != nil {
		t.Errorf("asked for %v", asked)
	}
}

func TestAnswerOfAnotherMachineIsNoneOfTheGateway(t *testing.T) {
	liar, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)})
	if err != nil {
		t.Skipf("no second address of loopback: %v", err)
	}
	defer liar.Close()
	router, where := startIGD(t)
	router.liar = liar
	if location, err := where.search(context.Background()); err != nil || location.Path != "/description.xml" {
		t.Error(location, err)
	}
}

func TestAnswerWithoutEndIsEnded(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 1<<16); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	answer, err := endpoints{uplink: uplink{loopback, loopback}}.httpClient().Get(endless.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if read, _ := io.Copy(io.Discard, answer.Body); read != maxAnswer {
		t.Errorf("%d bytes were read", read)
	}
}

func TestGatewayIsSearchedForAloneFirst(t *testing.T) {
	searches := realEndpoints(uplink{netip.MustParseAddr("192.168.1.1"), loopback}).searches
	if len(searches) != 3 || searches[0].target.String() != "192.168.1.1:1900" || searches[1].target != multicast {
		t.Error(searches)
	}
}

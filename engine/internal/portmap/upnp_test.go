package portmap

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// igd is an internet gateway on loopback that answers searches and SOAP.
type igd struct {
	lock      sync.Mutex
	service   string                                             // type of its service
	control   string                                             // URL of the service, as the description has it
	external  string                                             // its own address
	table     map[string]entry                                   // by "UDP 7882"
	refuses   func(verb string, arguments map[string]string) int // UPnP error code, 0 none
	heard     []string                                           // verbs, in order
	locations []string                                           // what it says to a search, one answer each
	mute      int                                                // searches that it does not answer
	reason    string                                             // text of its refusals, in XML
	liar      *net.UDPConn                                       // another machine, which answers searches first
	base      string
}

func startIGD(t *testing.T) (*igd, endpoints) {
	t.Helper()
	router := &igd{
		service: "WANIPConnection:1", control: "/control", external: "1.2.3.4", table: map[string]entry{},
		refuses: func(string, map[string]string) int { return 0 }, reason: "as the test says",
	}
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	router.base = server.URL
	router.locations = []string{server.URL + "/description.xml"}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		router.answerSearches(conn)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	target := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	return router, endpoints{
		uplink: uplink{loopback, loopback}, searches: []search{{target, time.Minute}, {target, time.Minute}},
	}
}

func (r *igd) answerSearches(conn *net.UDPConn) {
	buffer := make([]byte, 2000)
	for {
		length, sender, err := conn.ReadFromUDP(buffer)
		if err != nil {
			return
		}
		r.lock.Lock()
		r.heard = append(r.heard, "search")
		silent := r.mute > 0
		r.mute--
		locations := r.locations
		r.lock.Unlock()
		if silent || !strings.Contains(string(buffer[:length]), "ST: "+routerDevice+"\r\n") {
			continue
		}
		if r.liar != nil {
			lie := fmt.Sprintf("HTTP/1.1 200 OK\r\nST: %s\r\nLOCATION: %s/restart?now=1\r\n\r\n", routerDevice, r.base)
			_, _ = r.liar.WriteToUDP([]byte(lie), sender)
		}
		for _, location := range locations {
			said := fmt.Sprintf("HTTP/1.1 200 OK\r\nST: %s\r\nLOCATION: %s\r\n\r\n", routerDevice, location)
			_, _ = conn.WriteToUDP([]byte(said), sender)
		}
	}
}

func (r *igd) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if request.URL.Path == "/description.xml" {
		r.heard = append(r.heard, "description")
		fmt.Fprintf(w, `<root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceList><device><serviceList><service>`+
			`<serviceType>urn:schemas-upnp-org:service:%s</serviceType><controlURL>%s</controlURL>`+
			`</service></serviceList></device></deviceList></device></root>`, r.service, r.control)
		return
	}
	_, verb, _ := strings.Cut(strings.Trim(request.Header.Get("SOAPACTION"), `"`), "#")
	r.heard = append(r.heard, verb)
	arguments := readArguments(request.Body)
	code, out := r.refuses(verb, arguments), ""
	key := arguments["NewProtocol"] + " " + arguments["NewExternalPort"]
	switch there, known := r.table[key]; {
	case code != 0:
	case verb == "GetSpecificPortMappingEntry" && !known:
		code = noSuchEntry
	case verb == "GetSpecificPortMappingEntry":
		out = fmt.Sprintf("<NewInternalPort>%d</NewInternalPort><NewInternalClient>%s</NewInternalClient>"+
			"<NewEnabled>1</NewEnabled><NewPortMappingDescription>%s</NewPortMappingDescription>"+
			"<NewLeaseDuration>%d</NewLeaseDuration>", there.internal, there.client, there.description, there.lease)
	case verb == "GetExternalIPAddress":
		out = "<NewExternalIPAddress>" + r.external + "</NewExternalIPAddress>"
	case verb == "AddPortMapping":
		made := entry{client: arguments["NewInternalClient"], description: arguments["NewPortMappingDescription"]}
		_, _ = fmt.Sscan(arguments["NewInternalPort"], &made.internal)
		_, _ = fmt.Sscan(arguments["NewLeaseDuration"], &made.lease)
		r.table[key] = made
	case verb == "DeletePortMapping":
		delete(r.table, key)
	}
	if code != 0 {
		w.WriteHeader(http.StatusInternalServerError)
		out = fmt.Sprintf(`<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>`+
			`<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode>`+
			`<errorDescription>%s</errorDescription></UPnPError></detail></s:Fault>`, code, r.reason)
	} else {
		out = fmt.Sprintf(`<u:%sResponse xmlns:u="urn:schemas-upnp-org:service:%s">%s</u:%sResponse>`,
			verb, r.service, out, verb)
	}
	fmt.Fprintf(w, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>%s</s:Body></s:Envelope>`, out)
}

// readArguments returns the elements of an action that contain text.
func readArguments(body io.Reader) map[string]string {
	found := map[string]string{}
	name := ""
	for decoder := xml.NewDecoder(body); ; {
		token, err := decoder.Token()
		if err != nil {
			return found
		}
		switch token := token.(type) {
		case xml.StartElement:
			name = token.Name.Local
			found[name] = ""
		case xml.CharData:
			found[name] = string(token)
		}
	}
}

func (r *igd) verbs() string {
	r.lock.Lock()
	defer r.lock.Unlock()
	return strings.Join(r.heard, " ")
}

func TestUPnPMapsAndGivesBack(t *testing.T) {
	for _, service := range []string{"WANIPConnection:2", "WANIPConnection:1", "WANPPPConnection:1"} {
		router, where := startIGD(t)
		router.service = service
		asked := &upnp{endpoints: where}
		got, err := asked.request(context.Background(), media, 43200)
		if err != nil || got.port != 7882 || got.address.String() != "1.2.3.4" || *got.seconds != 43200 || !got.own {
			t.Fatalf("%s: %v %v", service, got, err)
		}
		if want := (entry{7882, "127.0.0.1", media.Name, 43200}); router.table["UDP 7882"] != want {
			t.Errorf("%s: %v", service, router.table)
		}
		if _, err := asked.request(context.Background(), web, 43200); err != nil {
			t.Fatal(err)
		}
		for _, port := range []Port{media, web, web} { // once more than there are
			if err := asked.release(context.Background(), port); err != nil {
				t.Errorf("%s: %v", service, err)
			}
		}
		if len(router.table) != 0 {
			t.Errorf("%s: %v is left", service, router.table)
		}
		want := "search description GetSpecificPortMappingEntry AddPortMapping GetExternalIPAddress"
		if got := router.verbs(); !strings.HasPrefix(got, want) || strings.Count(got, "GetExternal") != 1 {
			t.Errorf("%s: %s", service, got)
		}
	}
}

func TestMappingOfAnotherProgramIsUsedWhereItLeadsHere(t *testing.T) {
	router, where := startIGD(t)
	router.table["UDP 7882"] = entry{7882, "127.0.0.1", "my own", 0}
	got, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	if err != nil || got.own || got.seconds != nil || strings.Contains(router.verbs(), "AddPortMapping") {
		t.Error(got, err, router.verbs())
	}
	for _, other := range []entry{{7882, "127.0.0.9", "a game", 0}, {9, "127.0.0.1", "a game", 0}} {
		router.table["UDP 7882"] = other
		_, err = (&upnp{endpoints: where}).request(context.Background(), media, 43200)
		expect(t, err, Refused, "port 7882 goes to "+other.client)
	}
}

func TestMappingOfOursIsMovedToAnotherAddress(t *testing.T) {
	router, where := startIGD(t)
	router.table["UDP 7882"] = entry{7882, "127.0.0.9", media.Name, 60}
	if _, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200); err != nil {
		t.Fatal(err)
	}
	if router.table["UDP 7882"].client != "127.0.0.1" || !strings.Contains(router.verbs(), "DeletePortMapping AddPort") {
		t.Error(router.table, router.verbs())
	}
}

func TestRouterWithoutLeasesMapsForGood(t *testing.T) {
	router, where := startIGD(t)
	router.refuses = func(verb string, arguments map[string]string) int {
		if verb == "AddPortMapping" && arguments["NewLeaseDuration"] != "0" {
			return onlyPermanent
		}
		return 0
	}
	got, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	if err != nil || got.seconds != nil || len(router.table) != 1 {
		t.Error(got, err, router.table)
	}
}

func TestRefusalsOfUPnPAreTold(t *testing.T) {
	for _, c := range []struct {
		verb string
		code int
		text string
	}{
		{"AddPortMapping", inConflict, "port 7882 is taken"},
		{"AddPortMapping", inConflictOfKind, "port 7882 is taken"},
		{"AddPortMapping", 606, "UPnP error 606, as the test says"},
		{"GetSpecificPortMappingEntry", 501, "UPnP error 501"},
		{"GetExternalIPAddress", 501, "UPnP error 501"},
	} {
		router, where := startIGD(t)
		router.refuses = func(verb string, _ map[string]string) int {
			if verb == c.verb {
				return c.code
			}
			return 0
		}
		_, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
		expect(t, err, Refused, c.text)
	}
}

// A router may say anything, and as much of it as it likes.
func TestTextOfARouterIsOneShortLine(t *testing.T) {
	wild := "\u009b31m\u202e [red]&#10;error: a line of its own" + strings.Repeat("x", 50_000)
	router, where := startIGD(t)
	router.reason = wild
	router.refuses = func(string, map[string]string) int { return 501 }
	_, refusal := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	expect(t, refusal, Refused, "UPnP error 501, 31m [red] error: a line of its ownxxx")

	router, where = startIGD(t)
	router.table["UDP 7882"] = entry{7882, wild, "a game", 0}
	_, taken := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	expect(t, taken, Refused, "port 7882 goes to 31m [red] error: a line of its ownxxx")

	for _, err := range []error{refusal, taken} {
		if length := len([]rune(err.Error())); length > maxText+1 {
			t.Errorf("%d characters", length)
		}
	}
}

func TestMappingIsGivenBackIfTheRouterDoesNotTellItsAddress(t *testing.T) {
	router, where := startIGD(t)
	router.refuses = func(verb string, arguments map[string]string) int {
		switch {
		case verb == "GetExternalIPAddress":
			return 501
		case verb == "AddPortMapping" && arguments["NewLeaseDuration"] != "0":
			return onlyPermanent
		}
		return 0
	}
	_, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
	expect(t, err, Refused, "UPnP error 501")
	if len(router.table) != 0 {
		t.Errorf("%v stays for good", router.table)
	}
}

func TestRouterThatIsNotConnectedHasNoAddress(t *testing.T) {
	for _, said := range []string{"", "none", "2001:db8::1"} {
		router, where := startIGD(t)
		router.external = said
		got, err := (&upnp{endpoints: where}).request(context.Background(), media, 43200)
		if err != nil || got.address.String() != "0.0.0.0" {
			t.Error(got, err)
		}
	}
}

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

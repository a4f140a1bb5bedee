package portmap

import (
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// The one program inside the images of the end-to-end tests: static, so that an image is this file.
//
//	stand-in pause             does nothing until it is ended
//	stand-in proxy …           what Envoy's listeners are to the rules: says where each connection wanted to go
//	stand-in serve ADDRESS     answers "served" to each connection
//	stand-in call ADDRESS …    connects once a second and prints what it was told
//
// Each line it prints is JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"
)

const (
	outbound  = ":15001"
	inbound   = ":15006"
	readiness = ":15021"
	patience  = 2 * time.Second
	// linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h
	originalDestination = 80
)

func main() {
	words := append(os.Args[1:], "")
	switch words[0] {
	case "pause":
	case "proxy":
		go listen(outbound, "outbound", capture)
		go listen(inbound, "inbound", capture)
		go http.ListenAndServe(readiness, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	case "serve":
		go listen(words[1], "served", func(net.Conn) (string, error) { return "", nil })
	case "call":
		go callAll(os.Args[2:])
	default:
		fmt.Fprintf(os.Stderr, "got %q, want pause, proxy, serve or call\n", words[0])
		os.Exit(2)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}

// What happened on one connection. The listener sends it to the caller and prints it too.
type event struct {
	By string `json:"by"`
	To string `json:"to,omitempty"`
}

type answer struct {
	Call  string `json:"call"`
	Event *event `json:"event,omitempty"`
	Error string `json:"error,omitempty"`
}

func listen(address, by string, look func(net.Conn) (string, error)) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	say(event{By: by, To: "ready"})
	for {
		connection, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer connection.Close()
			to, err := look(connection)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return
			}
			seen := event{By: by, To: to}
			say(seen)
			json.NewEncoder(connection).Encode(seen)
		}()
	}
}

// Where the connection wanted to go before the kernel redirected it.
func capture(connection net.Conn) (string, error) {
	raw, err := connection.(*net.TCPConn).SyscallConn()
	if err != nil {
		return "", err
	}
	address := connection.LocalAddr().(*net.TCPAddr)
	var text string
	failed := raw.Control(func(descriptor uintptr) {
		// sockaddr_in6 is the larger of the two. The port is in network order in both.
		var found syscall.RawSockaddrInet6
		size := uint32(unsafe.Sizeof(found))
		level := uintptr(syscall.IPPROTO_IPV6)
		if address.IP.To4() != nil {
			level = syscall.IPPROTO_IP
		}
		_, _, code := syscall.Syscall6(syscall.SYS_GETSOCKOPT, descriptor, level, originalDestination,
			uintptr(unsafe.Pointer(&found)), uintptr(unsafe.Pointer(&size)), 0)
		if code != 0 {
			err = code
			return
		}
		ip := net.IP(found.Addr[:])
		if address.IP.To4() != nil {
			ip = (*(*[4]byte)(unsafe.Pointer(&found.Flowinfo)))[:]
		}
		port := (*[2]byte)(unsafe.Pointer(&found.Port))
		text = (&net.TCPAddr{IP: ip, Port: int(port[0])<<8 | int(port[1])}).String()
	})
	if failed != nil {
		return "", failed
	}
	return text, err
}

func callAll(addresses []string) {
	for {
		for _, address := range addresses {
			say(call(address))
		}
		time.Sleep(time.Second)
	}
}

func call(address string) answer {
	connection, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return answer{Call: address, Error: err.Error()}
	}
	defer connection.Close()
	connection.SetReadDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(io.LimitReader(connection, 4096))
	var seen event
	if err == nil {
		err = json.Unmarshal(text, &seen)
	}
	if err != nil {
		return answer{Call: address, Error: err.Error()}
	}
	return answer{Call: address, Event: &seen}
}

func say(line any) {
	text, _ := json.Marshal(line)
	os.Stdout.Write(append(text, '\n'))
}

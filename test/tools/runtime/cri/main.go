// Calls one method of a container runtime's CRI, as a kubelet does. Request and answer are JSON.
//
//	cri SOCKET SERVICE/METHOD <request.json >answer.json
//
// SERVICE is RuntimeService or ImageService. An error of the runtime goes to stderr, exit 1.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "k8s.io/cri-api/pkg/apis/runtime/v1" // registers the types of the CRI
)

// A kubelet gives a sandbox four minutes; a test has less patience.
const deadline = 60 * time.Second

func main() {
	if err := call(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func call() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("got %d arguments, want SOCKET SERVICE/METHOD", len(os.Args)-1)
	}
	service, name, _ := strings.Cut(os.Args[2], "/")
	method, err := find(service, name)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	request := dynamicpb.NewMessage(method.Input())
	if err := protojson.Unmarshal(text, request); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	connection, err := grpc.NewClient("unix://"+os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	answer := dynamicpb.NewMessage(method.Output())
	if err := connection.Invoke(ctx, fmt.Sprintf("/%s/%s", method.Parent().FullName(), name), request, answer); err != nil {
		return err
	}
	printed, err := protojson.Marshal(answer)
	if err != nil {
		return err
	}
	fmt.Println(string(printed))
	return nil
}

func find(service, name string) (protoreflect.MethodDescriptor, error) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("runtime.v1." + service))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", service, err)
	}
	described, isService := found.(protoreflect.ServiceDescriptor)
	if !isService {
		return nil, fmt.Errorf("got %s, want a service of the CRI", service)
	}
	method := described.Methods().ByName(protoreflect.Name(name))
	if method == nil {
		return nil, fmt.Errorf("got %s, want a method of %s", name, service)
	}
	return method, nil
}

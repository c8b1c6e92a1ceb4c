package main

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/miekg/dns"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
)

// The zone of services' names.
const zone = ".svc.cluster.local."

// Answers the names of services, and of pods of headless services: `dns KUBECONFIG ADDRESS`. It knows no other names:
// nothing that runs in a test reaches further.
func resolve(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("dns KUBECONFIG ADDRESS")
	}
	client, err := connect(arguments[0])
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	names := names{factory.Core().V1().Services().Lister(), factory.Discovery().V1().EndpointSlices().Lister()}
	factory.Start(nil)
	factory.WaitForCacheSync(nil)
	dns.HandleFunc(".", names.answer)
	ended := make(chan error)
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: net.JoinHostPort(arguments[1], "53"), Net: network}
		go func() { ended <- server.ListenAndServe() }()
	}
	return <-ended
}

type names struct {
	services  corelisters.ServiceLister
	endpoints discoverylisters.EndpointSliceLister
}

func (names names) answer(writer dns.ResponseWriter, request *dns.Msg) {
	response := new(dns.Msg)
	response.SetReply(request)
	response.Authoritative = true
	// Every question has one name in practice, and its case is given back as it came.
	if len(request.Question) == 1 {
		question := request.Question[0]
		addresses, known := names.find(strings.ToLower(question.Name))
		if !known {
			response.Rcode = dns.RcodeNameError
		}
		// A name that has no address of the wanted family is known all the same.
		if question.Qtype == dns.TypeA {
			for _, address := range addresses {
				header := dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}
				response.Answer = append(response.Answer, &dns.A{Hdr: header, A: net.ParseIP(address)})
			}
		}
	}
	if err := writer.WriteMsg(response); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// The addresses of `service.namespace`, or of `pod.service.namespace` where the service is headless.
func (names names) find(name string) ([]string, bool) {
	name, ours := strings.CutSuffix(name, zone)
	parts := strings.Split(name, ".")
	if !ours || len(parts) < 2 || len(parts) > 3 {
		return nil, false
	}
	namespace, service := parts[len(parts)-1], parts[len(parts)-2]
	found, err := names.services.Services(namespace).Get(service)
	if err != nil {
		return nil, false
	}
	if found.Spec.ClusterIP != core.ClusterIPNone {
		return []string{found.Spec.ClusterIP}, len(parts) == 2
	}
	selector := labels.SelectorFromSet(labels.Set{discovery.LabelServiceName: service})
	slices, err := names.endpoints.EndpointSlices(namespace).List(selector)
	if err != nil {
		return nil, false
	}
	var addresses []string
	for _, slice := range slices {
		for _, endpoint := range slice.Endpoints {
			named := len(parts) == 2 || endpoint.Hostname != nil && *endpoint.Hostname == parts[0]
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready || found.Spec.PublishNotReadyAddresses
			if named && ready && slice.AddressType == discovery.AddressTypeIPv4 {
				addresses = append(addresses, endpoint.Addresses...)
			}
		}
	}
	return addresses, len(parts) == 2 || len(addresses) > 0
}

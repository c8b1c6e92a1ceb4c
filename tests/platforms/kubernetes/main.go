// A whole Kubernetes in one program, for tests: the first argument says which part of it to be. The parts are the real
// ones, of the modules that Kubernetes publishes; each runs in a process of its own, so that a test can kill it.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("which part? etcd, apiserver, controller-manager, scheduler, kubelet, proxy, kubectl, commands, certificates, user, provisioner, dns, push or types"))
	}
	part := os.Args[1]
	// The parts read the arguments themselves.
	os.Args = append([]string{filepath.Base(os.Args[0]) + " " + part}, os.Args[2:]...)
	arguments := os.Args[1:]
	switch part {
	case "apiserver":
		run(apiserver.NewAPIServerCommand())
	case "controller-manager":
		run(controllers.NewControllerManagerCommand())
	case "scheduler":
		run(scheduler.NewSchedulerCommand())
	case "kubelet":
		run(kubelet.NewKubeletCommand(context.Background()))
	case "proxy":
		run(proxy.NewProxyCommand())
	case "kubectl":
		run(kubectl.NewDefaultKubectlCommand())
	case "commands":
		fail(commands())
	case "etcd":
		fail(etcd(arguments))
	case "certificates":
		fail(certificates(arguments))
	case "user":
		fail(user(arguments))
	case "provisioner":
		fail(provision(arguments))
	case "dns":
		fail(resolve(arguments))
	case "push":
		fail(push(arguments))
	case "types":
		fail(types())
	default:
		fail(fmt.Errorf("%q is no part of it", part))
	}
}

func run(command *cobra.Command) { os.Exit(cli.Run(command)) }

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

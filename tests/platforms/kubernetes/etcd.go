package main

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

// Keeps the cluster's state: `etcd FOLDER URL`, where URL is http://address:port. It does not wait for the disk: tests
// kill processes, not the machine.
func etcd(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("etcd FOLDER URL")
	}
	address, err := url.Parse(arguments[1])
	if err != nil {
		return err
	}
	settings := embed.NewConfig()
	settings.Dir = arguments[0]
	settings.UnsafeNoFsync = true
	settings.LogLevel = "warn"
	settings.ListenClientUrls, settings.AdvertiseClientUrls = []url.URL{*address}, []url.URL{*address}
	// One member has no peers: the port is any that is free, and the name by which it knows itself is never called.
	settings.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	server, err := embed.StartEtcd(settings)
	if err != nil {
		return err
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-ended:
		server.Close()
		return nil
	case err := <-server.Err():
		return err
	}
}

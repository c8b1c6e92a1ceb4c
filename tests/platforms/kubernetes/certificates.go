package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// The users of the cluster's own parts: the name of the file, the user, and its group.
var users = [][3]string{
	{"admin", "admin", "system:masters"},
	{"controller-manager", "system:kube-controller-manager", ""},
	{"scheduler", "system:kube-scheduler", ""},
	{"kubelet", "system:node:node", "system:nodes"},
	{"proxy", "system:kube-proxy", ""},
	{"helper", "stratos:test-helper", "system:masters"},
}

// Writes what the parts need to trust each other: `certificates FOLDER ADDRESS...`, where the first address is the API
// server's for everyone.
func certificates(arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("certificates FOLDER ADDRESS...")
	}
	folder, addresses := arguments[0], arguments[1:]
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	key, err := writeKey(filepath.Join(folder, "ca.key"))
	if err != nil {
		return err
	}
	authority := template("stratos test", nil)
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	if err := writeCertificate(filepath.Join(folder, "ca.crt"), authority, authority, key, key); err != nil {
		return err
	}
	// Service accounts' tokens are signed with a key of their own.
	if _, err := writeKey(filepath.Join(folder, "service-accounts.key")); err != nil {
		return err
	}
	server := template("kube-apiserver", nil)
	server.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	for _, address := range addresses {
		server.IPAddresses = append(server.IPAddresses, net.ParseIP(address))
	}
	if err := issue(folder, "server", server); err != nil {
		return err
	}
	if err := issue(folder, "kubelet-client", template("kube-apiserver-kubelet-client", nil)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "url"), []byte("https://"+addresses[0]+":6443"), 0o644); err != nil {
		return err
	}
	for _, user := range users {
		if err := writeUser(folder, filepath.Join(folder, user[0]+".kubeconfig"), user[1], user[2:]); err != nil {
			return err
		}
	}
	return nil
}

// Lets somebody in: `user FOLDER FILE NAME GROUP...` writes a kubeconfig with a client certificate of that user.
func user(arguments []string) error {
	if len(arguments) < 3 {
		return fmt.Errorf("user FOLDER FILE NAME GROUP...")
	}
	return writeUser(arguments[0], arguments[1], arguments[2], arguments[3:])
}

func writeUser(folder, file, name string, groups []string) error {
	temporary, err := os.MkdirTemp(folder, "user")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	for _, shared := range []string{"ca.crt", "ca.key"} {
		if err := os.Symlink(filepath.Join(folder, shared), filepath.Join(temporary, shared)); err != nil {
			return err
		}
	}
	if err := issue(temporary, "client", template(name, groups)); err != nil {
		return err
	}
	contents := map[string][]byte{}
	for _, path := range []string{filepath.Join(temporary, "client.crt"), filepath.Join(temporary, "client.key"),
		filepath.Join(folder, "ca.crt"), filepath.Join(folder, "url")} {
		if contents[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	settings := api.NewConfig()
	settings.Clusters["test"] = &api.Cluster{Server: string(contents["url"]), CertificateAuthorityData: contents["ca.crt"]}
	settings.AuthInfos["user"] = &api.AuthInfo{ClientCertificateData: contents["client.crt"], ClientKeyData: contents["client.key"]}
	settings.Contexts["test"] = &api.Context{Cluster: "test", AuthInfo: "user"}
	settings.CurrentContext = "test"
	return clientcmd.WriteToFile(*settings, file)
}

func template(name string, groups []string) *x509.Certificate {
	var organizations []string
	for _, group := range groups {
		if group != "" {
			organizations = append(organizations, group)
		}
	}
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: organizations},
		// A clock that is set back a little is no reason to fail.
		NotBefore:   time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(10 * 365 * 24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
}

// Writes NAME.crt and NAME.key, signed by the authority in the folder.
func issue(folder, name string, certificate *x509.Certificate) error {
	authority, err := read(filepath.Join(folder, "ca.crt"), x509.ParseCertificate)
	if err != nil {
		return err
	}
	signer, err := read(filepath.Join(folder, "ca.key"), x509.ParseECPrivateKey)
	if err != nil {
		return err
	}
	key, err := writeKey(filepath.Join(folder, name+".key"))
	if err != nil {
		return err
	}
	return writeCertificate(filepath.Join(folder, name+".crt"), certificate, authority, key, signer)
}

func read[T any](path string, parse func([]byte) (T, error)) (T, error) {
	var nothing T
	contents, err := os.ReadFile(path)
	if err != nil {
		return nothing, err
	}
	block, _ := pem.Decode(contents)
	if block == nil {
		return nothing, fmt.Errorf("%s holds no PEM", path)
	}
	return parse(block.Bytes)
}

func writeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	bytes, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: bytes}), 0o600)
}

func writeCertificate(path string, certificate, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) error {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return err
	}
	certificate.SerialNumber = serial
	bytes, err := x509.CreateCertificate(rand.Reader, certificate, parent, &key.PublicKey, signer)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bytes}), 0o644)
}

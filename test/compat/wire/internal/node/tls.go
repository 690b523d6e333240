package node

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Secured tells whether TIKV_CA names an authority: then everything is TLS.
func Secured() bool {
	return os.Getenv("TIKV_CA") != ""
}

// transport is plain, or TLS with what TIKV_CA, TIKV_CERT and TIKV_KEY name.
func transport() (credentials.TransportCredentials, error) {
	if !Secured() {
		return insecure.NewCredentials(), nil
	}
	authority, err := os.ReadFile(os.Getenv("TIKV_CA"))
	if err != nil {
		return nil, err
	}
	own, err := tls.LoadX509KeyPair(os.Getenv("TIKV_CERT"), os.Getenv("TIKV_KEY"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", os.Getenv("TIKV_CA"))
	}
	return credentials.NewTLS(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}}), nil
}

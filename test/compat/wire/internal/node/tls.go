package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Secured tells whether TIKV_CA names an authority: then everything is TLS.
func Secured() bool {
	return os.Getenv("TIKV_CA") != ""
}

// transport is plain, or TLS.
func transport() (credentials.TransportCredentials, error) {
	config, err := tlsConfig()
	if err != nil {
		return nil, err
	}
	if config == nil {
		return insecure.NewCredentials(), nil
	}
	return credentials.NewTLS(config), nil
}

// DialAs is Dial for calls that name another host than the certificate does.
func DialAs(addr, authority string) (*grpc.ClientConn, error) {
	secured, err := transport()
	if err != nil {
		return nil, err
	}
	return Dial(addr, grpc.WithAuthority(authority),
		grpc.WithTransportCredentials(hostKept{secured, addr}))
}

// hostKept verifies the certificate of addr, whatever calls name.
type hostKept struct {
	credentials.TransportCredentials
	addr string
}

func (k hostKept) ClientHandshake(ctx context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return k.TransportCredentials.ClientHandshake(ctx, k.addr, conn)
}

func (k hostKept) Clone() credentials.TransportCredentials {
	return hostKept{k.TransportCredentials.Clone(), k.addr}
}

// DialBytes opens a connection without gRPC, with TLS if the environment names
// certificates.
func DialBytes(addr string) (net.Conn, error) {
	config, err := tlsConfig()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if config == nil {
		return dialer.Dial("tcp", addr)
	}
	config.NextProtos = []string{"h2"}
	return tls.DialWithDialer(dialer, "tcp", addr, config)
}

// tlsConfig is of what TIKV_CA, TIKV_CERT and TIKV_KEY name, nil without them.
func tlsConfig() (*tls.Config, error) {
	if !Secured() {
		return nil, nil
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
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{own}}, nil
}

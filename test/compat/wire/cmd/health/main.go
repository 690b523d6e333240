// health asks the ports of PD and of the store what a gRPC health probe asks,
// with TLS if there is any; then nothing is told to who comes without it.
package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"tikv_fdw/test/compat/wire/internal/node"
)

const refusedWithin = 10 * time.Second

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	report := node.NewReport("health")
	n, err := node.Connect(ctx)
	report.Fatal(err)
	n.CheckHealth(ctx, report)
	if node.Secured() {
		report.Check("PD to a plain probe", refused(ctx, n.PDAddr))
		report.Check("the store to a plain probe", refused(ctx, n.StoreAddr))
	}
	report.Check("the node still answers", n.Alive(ctx))
	report.Exit()
}

// refused is nil if a probe without TLS learns nothing.
func refused(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, refusedWithin)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	got, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err == nil {
		return fmt.Errorf("it was answered: %v", got)
	}
	return nil
}

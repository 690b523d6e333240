package node

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// CheckHealth asks both ports what probes ask: by Check and by Watch.
func (n *Node) CheckHealth(ctx context.Context, r *Report) {
	for port, conn := range map[string]*grpc.ClientConn{"store": n.StoreConn, "PD": n.PDConn} {
		client := grpc_health_v1.NewHealthClient(conn)
		got, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		r.Check("health of "+port, serving(got, err))
		_, err = client.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "tikvpb.Nothing"})
		r.Check("health of an unknown service of "+port, WantStatus(err, codes.NotFound))
		r.Check("a watch of the health of "+port, watched(ctx, client))
	}
}

func serving(got *grpc_health_v1.HealthCheckResponse, err error) error {
	if err != nil {
		return err
	}
	return Expect(got.Status == grpc_health_v1.HealthCheckResponse_SERVING, "got %v", got)
}

func watched(ctx context.Context, client grpc_health_v1.HealthClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	return serving(watch.Recv())
}

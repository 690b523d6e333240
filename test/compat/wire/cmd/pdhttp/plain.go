package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"tikv_fdw/test/compat/wire/internal/node"
)

// checkPlain asks for every other path that is served.
func (t *tester) checkPlain() {
	region, store := t.Region.Id, t.Leader.StoreId
	for _, path := range []string{"/v1/ping", "/v2/ready", "/v1/version", "/v1/labels", "/v1/stores/limit", "/v1/stores?state=0&state=2",
		"/v1/regions/count", "/v1/regions/range-holes", "/v1/regions/writeflow", "/v1/regions/readflow", "/v1/regions/confver",
		"/v1/regions/version", "/v1/regions/size?limit=1", "/v1/regions/keys", "/v1/regions/cpu", "/v1/regions/check/miss-peer",
		"/v1/regions/check/extra-peer", "/v1/regions/check/pending-peer", "/v1/regions/check/down-peer", "/v1/regions/check/learner-peer",
		"/v1/regions/check/offline-peer", "/v1/regions/key?key=61&format=hex", "/v1/region/key/6162?format=hex", "/v1/hotspot/stores",
		"/v1/config/default", "/v1/config/pd-server", "/v1/config/label-property", "/v1/config/replication-mode", "/v1/replication_mode/status",
		"/v1/config/rules", "/v1/config/rules/group/none", "/v1/config/rule_group/pd", "/v1/config/placement-rule/none",
		"/v1/operators", "/v1/operators/records", "/v1/checker/merge", "/v1/min-resolved-ts", "/v1/min-resolved-ts?scope=cluster",
		fmt.Sprintf("/v1/min-resolved-ts/%d", store), "/v1/admin/cluster/markers/snapshot-recovering",
		fmt.Sprintf("/v1/region/id/%d", region), "/v1/stats/region?start_key=&end_key=&count"} {
		text := t.call("GET", "/pd/api"+path, nil, 200)
		if len(text) > 0 {
			t.Check("JSON of "+path, node.Expect(json.Valid(text), "got %s", text))
		}
	}
	t.call("HEAD", "/pd/api/v1/health", nil, 200)
	t.call("POST", "/pd/api/v1/checker/merge", map[string]any{"delay": 5}, 200)
	t.call("POST", "/pd/api/v1/checker/merge", map[string]any{}, 400)
	t.call("POST", "/pd/api/v1/checker/none", map[string]any{"delay": 5}, 404)
	t.checkPauses()
	t.call("DELETE", "/pd/api/v1/stores/remove-tombstone", nil, 200)
	t.call("POST", fmt.Sprintf("/pd/api/v1/store/%d/state?state=Up", store), nil, 200)
	t.call("POST", fmt.Sprintf("/pd/api/v1/store/%d/state?state=Odd", store), nil, 400)
	t.call("POST", "/pd/api/v1/store/987654321/state?state=Up", nil, 404)

	t.call("GET", "/pd/api/v1/nowhere", nil, 404)
	t.call("GET", "/", nil, 404)
	t.call("PUT", "/pd/api/v1/members", nil, 405)
	t.call("GET", "/pd/api/v1/store/x", nil, 400)
	t.call("GET", "/pd/api/v1/region/id/18446744073709551616", nil, 400)
	t.call("GET", "/pd/api/v1/regions/key?limit=x", nil, 400)
	t.call("GET", "/pd/api/v1/region/key/6?format=hex", nil, 400)
	t.call("GET", "/pd/api/v1/operators/1", nil, 404)
	t.call("POST", "/pd/api/v1/operators", map[string]any{"name": "transfer-leader"}, 400)
	t.call("POST", "/pd/api/v1/regions/split", map[string]any{"split_keys": []string{"6"}}, 400)
	t.call("POST", "/pd/api/v1/regions/split", map[string]any{}, 400)
	t.call("POST", "/pd/api/v1/regions/scatter", map[string]any{}, 400)
	t.call("POST", "/pd/api/v1/operators", map[string]any{"name": "split-region", "region_id": region, "policy": "scan"}, 400)
	t.call("POST", "/pd/api/v1/operators", map[string]any{"name": "transfer-region", "region_id": region, "to_store_ids": []uint64{store}}, 400)
	t.call("POST", "/pd/api/v1/operators", map[string]any{"name": "merge-region", "source_region_id": region, "target_region_id": region + 1}, 400)
	t.call("POST", "/pd/api/v1/operators", map[string]any{"name": "scatter-region", "region_id": region}, 200)
	t.checkSplits()
	t.call("POST", "/pd/api/v1/config", nil, 400)
	t.call("POST", "/pd/api/v1/config", []int{1}, 400)
	t.call("POST", "/pd/api/v2/keyspaces", map[string]any{"name": strings.Repeat("x", 5<<20)}, 413)
}

// checkOtherClients: what curl and the like do on a connection.
func (t *tester) checkOtherClients() {
	ask := func(what, text, want string) {
		conn, err := net.DialTimeout("tcp", t.PDAddr, 10*time.Second)
		line := ""
		if err == nil {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err = conn.Write([]byte(text)); err == nil {
				line, err = bufio.NewReader(conn).ReadString('\n')
			}
		}
		t.Check(what, both(err, strings.Contains(line, want), "got %q", line))
	}
	ask("HTTP/1.0", "GET /pd/api/v1/ping HTTP/1.0\r\n\r\n", " 200 ")
	ask("an offer of HTTP/2", "GET /pd/api/v1/ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n", " 200 ")
	ask("a wrong method", "BREW /pd/api/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n", " 405 ")
	ask("a URI that is too long", "GET /"+strings.Repeat("x", 40<<10)+" HTTP/1.1\r\nHost: x\r\n\r\n", " 414 ")

	// Several requests at once on a connection, in order.
	conn, err := net.DialTimeout("tcp", t.PDAddr, 10*time.Second)
	if err == nil {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = conn.Write([]byte(strings.Repeat("GET /pd/api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n", 50)))
	}
	count := 0
	for lines := bufio.NewReader(conn); err == nil && count < 50; {
		var line string
		line, err = lines.ReadString('\n')
		if strings.Contains(line, "HTTP/1.1 200") { // the body before it has no newline
			count++
		}
	}
	t.Check("requests one behind the other", both(err, count == 50, "%d answers", count))
}

// checkSplits: regions that HTTP has split and scattered.
func (t *tester) checkSplits() {
	var split struct {
		Percent int      `json:"processed-percentage"`
		Regions []uint64 `json:"regions-id"`
	}
	key := fmt.Sprintf("FEFE%012XFF0000000000000000F7", time.Now().UnixNano()&0xFFFFFFFFFFFF)
	text := t.call("POST", "/pd/api/v1/regions/split", map[string]any{"split_keys": []string{key}, "retry_limit": 1}, 200)
	err := json.Unmarshal(text, &split)
	t.Check("regions/split", both(err, split.Percent == 100 && len(split.Regions) == 1, "got %s", text))
	if len(split.Regions) != 1 {
		return
	}
	text = t.call("GET", fmt.Sprintf("/pd/api/v1/region/id/%d", split.Regions[0]), nil, 200)
	t.Check("what regions/split made", both(nil, strings.Contains(string(text), key), "got %s", text))
	text = t.call("POST", "/pd/api/v1/regions/scatter", map[string]any{"regions_id": split.Regions, "group": "compat"}, 200)
	t.Check("regions/scatter", both(json.Unmarshal(text, &split), split.Percent == 100, "got %s", text))
	text = t.call("POST", "/pd/api/v1/regions/scatter", map[string]any{"start_key": "FE", "end_key": ""}, 200)
	t.Check("regions/scatter of a range", both(json.Unmarshal(text, &split), split.Percent == 100, "got %s", text))
}

// checkPauses: what is paused is shown as such, until it is resumed.
func (t *tester) checkPauses() {
	for path, paused := range map[string]string{"checker/replica": "checker/replica", "schedulers/balance-leader-scheduler": "schedulers?status=paused"} {
		for _, delay := range []int{60, 0} {
			t.call("POST", "/pd/api/v1/"+path, map[string]any{"delay": delay}, 200)
			text := string(t.call("GET", "/pd/api/v1/"+paused, nil, 200))
			shown := strings.Contains(text, "true") || strings.Contains(text, "balance-leader-scheduler")
			t.Check(fmt.Sprintf("%s paused for %d s", path, delay), both(nil, shown == (delay > 0), "got %s", text))
		}
	}
	t.call("POST", "/pd/api/v1/schedulers/none", map[string]any{"delay": 5}, 404)
	t.call("POST", "/pd/api/v1/schedulers/balance-region-scheduler", map[string]any{}, 400)
}

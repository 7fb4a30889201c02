import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpCounters } from '../../../src/host/ip-counters.ts';

// Linux 6.18, cut to what matters for the form: two lines per group, groups whose names begin alike.
const SNMP = `Ip: Forwarding DefaultTTL InReceives ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs
Ip: 1 64 1000 11 12 13 14 15
IcmpMsg: InType3
IcmpMsg: 2
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
Udp: 101 102 103 104 105
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors
UdpLite: 0 0 999 0 0
`;
const SNMP6 = `Ip6InReceives                   \t7
Ip6ReasmFails                   \t20
Udp6InErrors                    \t30
UdpLite6InErrors                \t888
`;

test('both families are added up', () => {
  assert.deepEqual(parseIpCounters(SNMP, SNMP6), { reassemblyFailures: 34, udpErrors: 133 });
});

test('a kernel without IPv6 has the counters of IPv4', () => {
  assert.deepEqual(parseIpCounters(SNMP, undefined), { reassemblyFailures: 14, udpErrors: 103 });
});

test('a counter that is not there is not zero', () => {
  for (const [snmp, snmp6] of [
    [SNMP.replace('ReasmFails', 'Other'), SNMP6], [SNMP, SNMP6.replace('Udp6InErrors', 'Other')], [SNMP, ''],
    [SNMP.replace(' 14 15', ''), undefined], ['', undefined],
  ] as const) {
    assert.throws(() => parseIpCounters(snmp, snmp6), { code: 'HOST_COUNTER_MISSING' });
  }
});

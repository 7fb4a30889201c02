import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markingRules } from '../../../src/host/dscp.ts';

test('the rules are one transaction that replaces our own table and no other', () => {
  const rules = markingRules({ tunnel: 4790, migration: { first: 49000, last: 49063 }, api: [7443, 7444], peer: 7444 });
  assert.equal(rules, `table inet godwit {}
delete table inet godwit
table inet godwit {
  chain classify {
    type filter hook output priority mangle; policy accept;
    tcp dport 49000-49063 ip dscp set 1
    tcp dport 49000-49063 ip6 dscp set 1
    tcp sport 49000-49063 ip dscp set 1
    tcp sport 49000-49063 ip6 dscp set 1
    udp dport 4790 ip dscp set 18
    udp dport 4790 ip6 dscp set 18
    tcp dport { 7443, 7444 } ip dscp set 48
    tcp dport { 7443, 7444 } ip6 dscp set 48
    tcp sport { 7443, 7444 } ip dscp set 48
    tcp sport { 7443, 7444 } ip6 dscp set 48
  }
}
`);
});

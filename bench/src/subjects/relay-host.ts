// The relay between hosts: listens on all ports that hosts may use, on each way, and passes bytes on. Prints a line when it does.
import { startRelay } from '@slip/comms/testing/relay';
import { FIRST_PORT, PORTS, type RelayHost } from '../hosts/host-network.js';

const ways = JSON.parse(process.argv[2]) as RelayHost['ways'];
const meetingPort = Number(process.argv[3]);

const ports = [...Array.from({ length: PORTS }, (_, i) => FIRST_PORT + i), meetingPort];
for (const { from, to, isDelayed } of ways) {
  for (const port of ports) {
    const relay = await startRelay(from, port, to);
    if (isDelayed) relay.disturb('delay');
  }
}
console.log('listening');

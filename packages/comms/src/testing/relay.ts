// For tests: a line between hosts that can be slow, go silent, break or damage what it carries. It knows nothing of frames.
import net from 'node:net';

export type Disturbance = 'none' | 'delay' | 'stall' | 'reset' | 'cut' | 'flip';

export interface Relay {
  /** What happens to bytes towards the target from now on; `cut` and `flip` spoil one piece. */
  disturb(how: Disturbance): void;
  close(): void;
}

const DELAY_MS = 20;
/** Pieces at least this long are spoilt: the middle of a long payload. */
const LONG_PIECE = 16_384;

/** Listens on `host` and passes bytes on to the same port of `target`, and back. */
export async function startRelay(host: string, port: number, target: string): Promise<Relay> {
  let how: Disturbance = 'none';
  const sockets = new Set<net.Socket>();
  const keep = (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
  };
  const resetAll = () => {
    // A reset while the end is on its way leaves libuv with a request that never completes, and Node spins in it at its exit.
    for (const socket of sockets) {
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
  };
  const server = net.createServer((incoming) => {
    const outgoing = net.connect(port, target);
    keep(incoming);
    keep(outgoing);
    incoming.on('data', (bytes) => {
      if (how === 'stall') return incoming.pause();
      if (how === 'delay') return void setTimeout(() => outgoing.write(bytes), DELAY_MS);
      outgoing.write(spoil(bytes));
      return undefined;
    });
    outgoing.on('data', (bytes) => incoming.write(bytes));
    // What was passed on comes before the end.
    incoming.on('close', () => (how === 'delay' ? void setTimeout(() => outgoing.end(), DELAY_MS) : outgoing.end()));
    outgoing.on('close', () => incoming.end());
  });
  const spoil = (bytes: Buffer): Buffer => {
    if ((how !== 'cut' && how !== 'flip') || bytes.length < LONG_PIECE) return bytes;
    const middle = bytes.length >> 1;
    if (how === 'flip') bytes[middle] ^= 0x10;
    const spoilt = how === 'cut' ? Buffer.concat([bytes.subarray(0, middle), bytes.subarray(middle + 1000)]) : bytes;
    how = 'none';
    return spoilt;
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  return {
    disturb(next) {
      how = next;
      if (next === 'reset') resetAll();
    },
    close() {
      server.close();
      resetAll();
    },
  };
}

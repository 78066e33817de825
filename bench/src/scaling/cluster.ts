// A cluster as the simulator sees it: ranks that do one thing at a time, cores that the ranks of a node share, and links
// between nodes. It counts bytes; which of them go where is the algorithms' (collectives.ts).
import { Server, Simulator } from './simulator.js';

/** What a cluster is made of; where each number comes from is told in docs/scaling.md. */
export interface ClusterSpec {
  readonly nodes: number;
  readonly ranksPerNode: number;
  /** Cores of a node that communicate; a rank uses one at a time. */
  readonly coresPerNode: number;
  /** Of a node, each way, bytes/s; `Infinity` where nodes are processes of one machine. */
  readonly linkBandwidth: number;
  /** From the end of sending to the arrival, s. */
  readonly linkLatency: number;
  /** What one core reads and writes together while it copies or sums, bytes/s. */
  readonly memoryBandwidth: number;
  /** To meet all ranks of a node, s. */
  readonly meetSeconds: number;
  /** To send or to take one frame whatever its size, s. */
  readonly frameSeconds: number;
  /** Bytes/s of a core that sends or takes long frames: copy, checksum, socket. */
  readonly frameBandwidth: number;
}

interface Link {
  freeAt: number;
  bytes: number;
}

export class Cluster {
  readonly spec: ClusterSpec;
  readonly simulator = new Simulator();
  readonly worldSize: number;
  private readonly ranks: Server[];
  private readonly cores: Server[];
  private readonly out: Link[];
  private readonly into: Link[];

  constructor(spec: ClusterSpec) {
    this.spec = spec;
    this.worldSize = spec.nodes * spec.ranksPerNode;
    const perNode = <T>(make: () => T) => Array.from({ length: spec.nodes }, make);
    this.ranks = Array.from({ length: this.worldSize }, () => new Server(this.simulator));
    this.cores = perNode(() => new Server(this.simulator, spec.coresPerNode));
    this.out = perNode(() => ({ freeAt: 0, bytes: 0 }));
    this.into = perNode(() => ({ freeAt: 0, bytes: 0 }));
  }

  nodeOf(rank: number): number {
    return Math.floor(rank / this.spec.ranksPerNode);
  }

  /** `seconds` of one core for this rank, after what it was asked before. */
  work(rank: number, seconds: number, done: () => void): void {
    const core = this.cores[this.nodeOf(rank)];
    this.ranks[rank].lock((release) => {
      core.use(seconds, () => {
        release();
        done();
      });
    });
  }

  /** Moves bytes over both nodes' links, which carry one message at a time in the order of sending (cut-through). */
  transfer(from: number, to: number, bytes: number, arrived: () => void): void {
    const { linkBandwidth, linkLatency } = this.spec;
    const [out, into] = [this.out[this.nodeOf(from)], this.into[this.nodeOf(to)]];
    const seconds = bytes / linkBandwidth;
    const start = Math.max(this.simulator.now, out.freeAt);
    out.freeAt = start + seconds;
    into.freeAt = Math.max(start + linkLatency, into.freeAt) + seconds;
    out.bytes += bytes;
    const { now } = this.simulator;
    this.simulator.after(into.freeAt - now, () => {
      into.bytes += bytes;
      arrived();
    });
  }

  /** Bytes that have left and reached each node. */
  get traffic(): { readonly sent: readonly number[]; readonly received: readonly number[] } {
    return { sent: this.out.map(({ bytes }) => bytes), received: this.into.map(({ bytes }) => bytes) };
  }

  frameSeconds(bytes: number): number {
    return this.spec.frameSeconds + bytes / this.spec.frameBandwidth;
  }

  memorySeconds(bytes: number): number {
    return bytes / this.spec.memoryBandwidth;
  }
}

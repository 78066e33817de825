// The coordinator's edge: a ROUTER socket in front of `decide`, and the carrying out of what it decides.
import { createServer } from 'node:net';
import { ERROR_CODES, type Logger, SlipError } from '@slip/core';
import { type ControlMessage, decodeMessage, encodeMessage, PROTOCOL_VERSION } from '@slip/protocol';
import { Router } from 'zeromq';
import { decide } from './decide.js';
import {
  type CoordinatorAction,
  type CoordinatorEvent,
  type CoordinatorOptions,
  type CoordinatorState,
  type FailureReport,
  initialState,
} from './state.js';

/** What the coordinator does besides talking. */
export interface CoordinatorEdges {
  /** Creates the folder of the next attempt and returns its number. */
  claimAttempt(): Promise<number>;
  record(
    event: 'started' | 'restarted' | 'failed' | 'stopped' | 'finished',
    facts: Record<string, unknown>,
  ): Promise<void>;
  report(report: FailureReport): void;
  log: Logger;
}

export interface BindAddress {
  /** IPv4 address of an interface of this host, or `*` for all. */
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

export interface Coordinator {
  readonly port: number;
  /** Frames that were not messages of this launch. */
  readonly numDropped: number;
  /** Ends the launch on all nodes and writes nothing: the run belongs to another launch now. */
  abandon(reason: string): void;
  close(): Promise<void>;
}

/**
 * Binds and serves until `close`.
 * @throws SlipError `rendezvous` when the port is in use
 */
export async function startCoordinator(
  options: CoordinatorOptions,
  bind: BindAddress,
  edges: CoordinatorEdges,
): Promise<Coordinator> {
  const router = new Router({ linger: 1000, maxMessageSize: 1 << 20, sendHighWaterMark: 0 });
  try {
    await router.bind(`tcp://${bind.host}:${bind.port === 0 ? '*' : bind.port}`);
  } catch (error) {
    router.close();
    throw bindError(bind, error);
  }
  const port = Number(router.lastEndpoint?.split(':').at(-1));
  const serving = new Serving(router, options, edges);
  return {
    port,
    get numDropped() {
      return serving.numDropped;
    },
    abandon: (reason) => serving.abandon(reason),
    close: () => serving.close(),
  };
}

function bindError(bind: BindAddress, error: unknown): SlipError {
  const { code, message } = error as NodeJS.ErrnoException;
  const where = bind.host === '*' ? '' : ` of ${bind.host}`;
  const what =
    code === 'EADDRINUSE'
      ? `port ${bind.port}${where} is in use; choose another with --rdzv-endpoint HOST:PORT on all nodes, or --standalone on one`
      : `cannot listen on port ${bind.port}${where}: ${message}; see --rdzv-endpoint`;
  return new SlipError('rendezvous', what, { cause: error });
}

class Serving {
  numDropped = 0;
  private readonly router: Router;
  private readonly edges: CoordinatorEdges;
  private readonly ticker: NodeJS.Timeout;
  private readonly received: Promise<void>;
  private state: CoordinatorState;
  private lastReason = '';
  /** Actions are carried out one after the other, in the order in which they were decided. */
  private work: Promise<void> = Promise.resolve();

  constructor(router: Router, options: CoordinatorOptions, edges: CoordinatorEdges) {
    this.router = router;
    this.edges = edges;
    this.state = initialState(options, performance.now());
    this.ticker = setInterval(() => this.handle({ type: 'tick' }), options.tickMs);
    this.received = this.receive();
  }

  async close(): Promise<void> {
    clearInterval(this.ticker);
    await this.work;
    this.router.close();
    await this.received;
    if (this.numDropped > 0) this.edges.log.warn(`${this.numDropped} frames at the rendezvous port were not ours`);
  }

  abandon(reason: string): void {
    const message: ControlMessage = { kind: 'shutdown', exitCode: ERROR_CODES['peer-lost'], reason };
    for (const node of this.state.nodes)
      if (node !== undefined) this.enqueue({ type: 'send', peer: node.peer, message });
    this.state = { ...this.state, phase: 'ended' };
  }

  private async receive(): Promise<void> {
    for await (const frames of this.router) {
      const [id, bytes] = frames;
      const peer = id?.toString('hex');
      if (peer === undefined || bytes === undefined || frames.length !== 2) {
        this.numDropped += 1;
        continue;
      }
      const result = decodeMessage(bytes);
      if (result.ok && (result.launchId === this.launchId || result.message.kind === 'agentHello'))
        this.handle({ type: 'message', peer, message: result.message });
      else {
        this.numDropped += 1;
        if (!result.ok && result.problem === 'version')
          this.enqueue({ type: 'send', peer, message: otherVersion(result.version) });
      }
    }
  }

  private get launchId(): string {
    return this.state.options.launchId;
  }

  private handle(event: CoordinatorEvent): void {
    const { state, actions, reason } = decide(this.state, event, performance.now());
    this.state = state;
    if (actions.length > 0 && reason !== this.lastReason) this.edges.log.debug(reason);
    this.lastReason = reason;
    for (const action of actions) this.enqueue(action);
  }

  private enqueue(action: CoordinatorAction): void {
    this.work = this.work.then(() => this.perform(action)).catch((error) => this.fail(error));
  }

  private async perform(action: CoordinatorAction): Promise<void> {
    const { edges } = this;
    switch (action.type) {
      case 'send':
        return this.send(action.peer, action.message);
      case 'start':
        return this.start(action);
      case 'report':
        return edges.report(action.report);
      case 'notice':
        return edges.log.info(action.text);
      case 'end': {
        const { exitCode, reason, cause } = action;
        return edges.record(action.event, { exitCode, reason, ...describeCause(cause) });
      }
      default:
        return action satisfies never;
    }
  }

  private async start({ generation, cause }: CoordinatorAction & { type: 'start' }): Promise<void> {
    const { options, nodes } = this.state;
    const attempt = await this.edges.claimAttempt();
    const message: ControlMessage = {
      kind: 'startGeneration',
      generation,
      attempt,
      nodes: nodes.flatMap((node) =>
        node === undefined
          ? []
          : {
              nodeRank: node.nodeRank,
              host: node.host,
              firstRank: node.nodeRank * options.nprocPerNode,
              numRanks: options.nprocPerNode,
            },
      ),
      masterAddress: nodes[0]?.host ?? '127.0.0.1',
      masterPort: await findFreePort(),
    };
    await this.edges.record(generation === 0 ? 'started' : 'restarted', {
      attempt,
      generation,
      numNodes: options.numNodes,
      worldSize: options.numNodes * options.nprocPerNode,
      hosts: message.nodes.map((node) => node.host),
      ...describeCause(cause),
    });
    for (const node of nodes) if (node !== undefined) await this.send(node.peer, message);
  }

  private async send(peer: string, message: ControlMessage): Promise<void> {
    // Before an agent knows the launch it must accept any; from then on the id tells launches apart.
    if (!this.router.closed) await this.router.send([Buffer.from(peer, 'hex'), encodeMessage(message, this.launchId)]);
  }

  /** An action could not be carried out (a full disk, a bug): the launch cannot go on. */
  private async fail(thrown: unknown): Promise<void> {
    const error = SlipError.from(thrown);
    this.edges.log.error(error.toString());
    const message: ControlMessage = { kind: 'shutdown', exitCode: error.exitCode, reason: error.message };
    for (const node of this.state.nodes) if (node !== undefined) await this.send(node.peer, message);
    this.state = { ...this.state, phase: 'ended' };
  }
}

function describeCause(cause: FailureReport['root'] | undefined): Record<string, unknown> {
  if (cause === undefined) return {};
  const { rank, host, step, code, message, exitCode, signal } = cause;
  return { cause: { rank, host, step, code, message, exitCode, signal } };
}

function otherVersion(version: number): ControlMessage {
  return {
    kind: 'reject',
    code: 'rendezvous',
    reason: `the coordinator speaks protocol version ${PROTOCOL_VERSION}, you ${version}; run the same release on all nodes`,
  };
}

/** A port that was free a moment ago: MASTER_PORT, for programs that open a store of their own. */
async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

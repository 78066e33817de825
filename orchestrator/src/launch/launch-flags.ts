// The flags of slip-launch that are about processes, not training: torchrun's, with its spellings. Data only.
import type { FlagDefinition } from '@slip/config/flags';

/** Flags of the launcher. Each may also be written with underscores, and set by the environment as `PET_<NAME>`. */
export const LAUNCH_FLAGS: readonly FlagDefinition[] = [
  {
    name: 'nproc',
    alias: ['nproc-per-node'],
    type: 'string',
    description: 'workers on this node: a number, gpu, cpu, or auto (GPUs if there are any, else half the cores)',
    default: '1',
  },
  { name: 'nnodes', type: 'string', description: 'number of nodes; MIN:MAX only when both are equal', default: '1' },
  {
    name: 'node-rank',
    type: 'number',
    description: 'number of this node, 0 to nnodes - 1; node 0 hosts the coordinator',
  },
  {
    name: 'rdzv-endpoint',
    type: 'string',
    description:
      'HOST:PORT of node 0, the same on every node (one node: default is a free local port), or file:///PATH on shared storage',
  },
  {
    name: 'rdzv-id',
    type: 'string',
    description: 'name of this launch; agents that name another are turned away',
    default: 'none',
  },
  { name: 'rdzv-backend', type: 'string', description: 'static or c10d; accepted for compatibility, both mean ours' },
  {
    name: 'rdzv-conf',
    type: 'string',
    description: 'join_timeout=600,keep_alive_interval=1,keep_alive_max_attempt=20 (seconds, seconds, number)',
  },
  { name: 'standalone', type: 'boolean', description: 'this machine only, on a free port' },
  { name: 'master-addr', type: 'string', description: 'host part of --rdzv-endpoint' },
  { name: 'master-port', type: 'number', description: 'port part of --rdzv-endpoint (default 29500)' },
  {
    name: 'local-addr',
    type: 'string',
    description: 'address at which other nodes reach this one (default: that of the interface towards node 0)',
  },
  {
    name: 'comm-interface',
    type: 'string',
    description: 'network interfaces for what ranks send each other, such as ib0,hsn0: the first that this node has',
  },
  { name: 'max-restarts', type: 'number', description: 'restarts of all workers after a failure', default: 3 },
  { name: 'monitor-interval', type: 'number', description: 'accepted for compatibility; exits are noticed at once' },
  { name: 'role', type: 'string', description: 'name of the workers in prefixed output', default: 'default' },
  { name: 'start-method', type: 'string', description: 'accepted for compatibility; workers are always spawned' },
  {
    name: 'log-dir',
    type: 'string',
    description: 'folder for worker logs (default: attempts/<n>/logs in the run folder)',
  },
  {
    name: 'redirects',
    alias: ['r'],
    type: 'string',
    description: 'streams kept off the terminal: 0 none, 1 stdout, 2 stderr, 3 both, or LOCAL_RANK:N,...',
  },
  { name: 'tee', alias: ['t'], type: 'string', description: 'streams shown on the terminal with a prefix, as above' },
  { name: 'local-ranks-filter', type: 'string', description: 'only these local ranks on the terminal, such as 0,1' },
  {
    name: 'signals-to-handle',
    type: 'string',
    description: 'signals passed on to the workers',
    default: 'SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR2',
  },
  {
    name: 'bind-workers',
    type: 'boolean',
    description:
      'each worker gets cores and GPUs of this node for itself (inside a Slurm job: where Slurm keeps the job to its cores)',
  },
  { name: 'numa-binding', type: 'string', description: 'accepted; not supported yet' },
];

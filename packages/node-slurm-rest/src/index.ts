// A typed client for Slurm's REST daemon.
export type { Job, JobState } from './answers/job.js';
export { JOB_STATES } from './answers/job.js';
export type { Controller, Diagnostics, Node, Partition } from './answers/node.js';
export type { Answer } from './answers/values.js';
export { chooseVersion, NEWEST_VERSION, OLDEST_VERSION } from './api-version.js';
export {
  type ApiPaths,
  createSlurmClient,
  type SlurmClient,
  type SlurmClientOptions,
  type SubmittedJob,
} from './client.js';
export { SlurmError, type SlurmErrorCode, type SlurmProblem } from './errors.js';
export type * as v0_0_38 from './gen/v0.0.38.js';
export type * as v0_0_42 from './gen/v0.0.42.js';
export type { JobChange, JobSubmission } from './submission.js';

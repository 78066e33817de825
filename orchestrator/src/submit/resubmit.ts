// Submitting a run again: the plan of its newest submission, in the same run folder. It goes on from its newest checkpoint.
import { type ProgramPlace, renderBatchScript } from './batch-script.js';
import { chooseWay, restAddress, type Sent, sendPlan } from './send.js';
import type { SubmissionRecord } from './submit-record.js';

export interface ResubmitWay {
  readonly via: 'auto' | 'sbatch' | 'rest';
  readonly restUrl: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
  readonly program: ProgramPlace;
}

/** @throws SlipError `scheduler` when Slurm refuses or cannot be reached */
export async function resubmit(runFolder: string, { plan }: SubmissionRecord, way: ResubmitWay): Promise<Sent> {
  // What the first job had to wait for is over, and Slurm may have forgotten it.
  const { dependency: _over, ...again } = { ...plan, runFolder };
  const { environment } = way;
  const chosen = chooseWay(way.via, restAddress(way.restUrl, environment), environment);
  return sendPlan(again, renderBatchScript(again, way.program), chosen, environment);
}

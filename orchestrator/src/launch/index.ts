// What other programs of the project (slip-quickstart, slip-submit, tests) may use of the launcher.
export { type AgentOptions, type AgentResult, runAgent } from '../agent/agent.js';
export { parseStreamMap } from '../agent/log-routing.js';
export { type LaunchEdges, type LaunchOptions, launch } from './launch.js';
export { type LaunchSettings, readLaunchSettings } from './launch-settings.js';
export { processSignals } from './process-signals.js';

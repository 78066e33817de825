// Steps as graphs and as plans, without running them (`@slip/engine/trace`).
export { type FlexiblePlan, flexiblePlan, planAt } from './plan/flexible-plan.js';
export { makePlan } from './plan/make-plan.js';
export { type TracedStep, type TraceOptions, traceStep } from './trace/trace-step.js';

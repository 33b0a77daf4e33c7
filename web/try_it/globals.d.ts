// What fixlip_helpers/commands/export.py puts around the modules when it joins them into one script.
declare const WORKER: string;
declare const KERNELS: { fma: string; plain: string };
declare var fixlipWeights: Record<string, { tensors: any; weights: string }>;
// WebGPU, which the TypeScript compiler's library does not describe yet.
declare const GPUBufferUsage: Record<string, number>;
declare const GPUMapMode: Record<string, number>;
interface Navigator {
  gpu?: any;
}

// What fixlip_helpers/export.py puts around the modules when it joins them into one script.
declare const WORKER: string;
declare const KERNELS: { fma: string; plain: string };
declare var fixlipWeights: Record<string, { tensors: any; weights: string }>;

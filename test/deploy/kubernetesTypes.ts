/**
 * Kubernetes' own schemas as TypeScript's types. kubernetes-models' validate() takes fields it does not know, as an API
 * server does: a misspelt `readOnlyRootFilesytem` would be dropped in silence. To the compiler it is an excess property.
 */
import { join } from 'node:path';
import ts from 'typescript';
import type { Manifest } from './manifests.ts';

const here = join(import.meta.dirname, 'manifestsAsTypes.ts');

interface Model {
  validate(): void;
}

/** What is wrong by the schemas, each a sentence; empty when everything is sound. */
export async function schemaProblems(manifests: readonly Manifest[]): Promise<string[]> {
  const problems: string[] = [];
  for (const manifest of manifests) {
    const name = `${manifest.kind} ${manifest.metadata?.name ?? ''}`;
    const models = (await import(`kubernetes-models/${manifest.apiVersion}`)) as Record<
      string,
      new (data: Manifest) => Model
    >;
    const model = models[manifest.kind];
    if (!model) problems.push(`${name}: ${manifest.apiVersion} has no such kind`);
    else
      try {
        new model(manifest).validate();
      } catch (error) {
        problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
  }
  return [...problems, ...compilerProblems(manifests)];
}

function compilerProblems(manifests: readonly Manifest[]): string[] {
  const source = manifests
    .map(
      (manifest, i) =>
        `const m${i}: import('kubernetes-models/${manifest.apiVersion}').I${manifest.kind} = ${JSON.stringify(manifest)};`,
    )
    .join('\n');
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const fileExists = host.fileExists.bind(host);
  const getSourceFile = host.getSourceFile.bind(host);
  host.fileExists = (name) => name === here || fileExists(name);
  host.getSourceFile = (name, language) =>
    name === here ? ts.createSourceFile(name, source, language) : getSourceFile(name, language);
  const program = ts.createProgram([here], options, host);
  return ts.getPreEmitDiagnostics(program, program.getSourceFile(here)).map(({ start = 0, file, messageText }) => {
    const line = file?.getLineAndCharacterOfPosition(start).line ?? 0;
    const manifest = manifests[line];
    const says = ts.flattenDiagnosticMessageText(messageText, ' ');
    return `${manifest?.kind ?? ''} ${manifest?.metadata?.name ?? ''}: ${says}`;
  });
}

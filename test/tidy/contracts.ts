/** Every port has a contract suite, and every adapter passes it. */
import ts from 'typescript';
import { posix } from 'node:path';
import { nodes, type Source, topFolder } from './rule.ts';

/** Port → the file in test/contracts/ that holds its suite. A new port needs a line here and a suite. */
export const CONTRACTS: Readonly<Record<string, string>> = {
  EventStore: 'eventStore.ts',
  Bus: 'bus.ts',
  Announcements: 'announcements.ts',
  LanguageModel: 'languageModel.ts',
  ModelLibrary: 'modelLibrary.ts',
  Authorizer: 'authorizer.ts',
  Leases: 'leases.ts',
  Slots: 'slots.ts',
  Snapshots: 'snapshots.ts',
  Tickets: 'tickets.ts',
  RequestCounts: 'requestCounts.ts',
  OperationRecords: 'operationRecords.ts',
  Seal: 'seal.ts',
  ObjectStore: 'objectStore.ts',
  Embedder: 'embedder.ts',
  VectorIndex: 'vectorIndex.ts',
  Clock: 'clock.ts',
  Ids: 'ids.ts',
};

/** Where ports stand. */
const PORT_FILES: readonly string[] = [
  'domain/ports.ts',
  'domain/objectStore.ts',
  'domain/meaning/embedder.ts',
  'domain/meaning/vectorIndex.ts',
];

/** Interfaces of a file of ports that have a method: the others are shapes of data. */
export function portsIn(ports: Source): string[] {
  return nodes(ports.tree, ts.isInterfaceDeclaration)
    .filter(({ members }) => members.some(ts.isMethodSignature))
    .map(({ name }) => name.text);
}

/** Ports that a file of infra/ offers: by a class that implements one, an exported function or a constant of its type. */
export function adaptersIn({ path, tree }: Source, ports: readonly string[]): string[] {
  if (topFolder(path) !== 'infra' || !tree) return [];
  const found = new Set<string>();
  const add = (type: ts.Node | undefined): void => {
    if (!type) return;
    for (const { typeName } of nodes(type, ts.isTypeReferenceNode)) found.add(typeName.getText());
  };
  for (const { heritageClauses } of nodes(tree, ts.isClassDeclaration)) {
    for (const { token, types } of heritageClauses ?? []) {
      if (token === ts.SyntaxKind.ImplementsKeyword)
        for (const { expression } of types) found.add(expression.getText());
    }
  }
  for (const statement of tree.statements.filter(isExported)) {
    if (ts.isFunctionDeclaration(statement)) add(statement.type);
    if (!ts.isVariableStatement(statement)) continue;
    for (const { type, initializer } of statement.declarationList.declarations) {
      add(type);
      if (initializer && ts.isArrowFunction(initializer)) add(initializer.type);
    }
  }
  return ports.filter((port) => found.has(port));
}

function isExported(statement: ts.Statement): boolean {
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

function ownImports({ path, tree }: Source): string[] {
  return nodes(tree, ts.isImportDeclaration)
    .map(({ moduleSpecifier }) => (ts.isStringLiteral(moduleSpecifier) ? moduleSpecifier.text : ''))
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.join(posix.dirname(path), specifier));
}

/**
 * What is missing between ports, contracts and adapters, one sentence each: a port without a line in the table or
 * without its suite, a line without its port, an adapter that no test file brings together with the suite.
 */
export function missingContracts(
  sources: readonly Source[],
  contracts: Readonly<Record<string, string>> = CONTRACTS,
): string[] {
  const ports = sources.filter(({ path }) => PORT_FILES.includes(path)).flatMap(portsIn);
  const missing = Object.keys(contracts)
    .filter((port) => !ports.includes(port))
    .map((port) => `${port} is in the table of contracts but no port`);
  const tests = sources.filter(({ path }) => /^test\/.*\.test\.ts$/.test(path)).map(ownImports);
  for (const port of ports) {
    const contract = `test/contracts/${contracts[port] ?? ''}`;
    if (contracts[port] === undefined) missing.push(`${port} has no contract in the table`);
    else if (!sources.some(({ path }) => path === contract)) missing.push(`${port} has no suite ${contract}`);
    else {
      const adapters = sources.filter((source) => adaptersIn(source, ports).includes(port));
      const untested = adapters.filter(
        ({ path }) => !tests.some((own) => own.includes(path) && own.includes(contract)),
      );
      missing.push(...untested.map(({ path }) => `${path} offers ${port}, but no test imports it and ${contract}`));
    }
  }
  return missing;
}

/**
 * The schema of a database as SQL text, from PostgreSQL's own catalogues: what the numbered files add up to.
 *
 * Owners and whatever depends on who migrated are left out, so that the same files always give the same text.
 */
import { Effect, Schema } from "effect"
import type { PgClient } from "@effect/sql-pg"

const decodeTexts = Schema.decodeUnknownEffect(Schema.Array(Schema.Struct({ text: Schema.String })))

const tables = `
  select format(E'create table %s (\\n%s\\n)%s;', c.relname, string_agg('  ' || d.line, E',\\n' order by d.at, d.line),
      ' with (' || array_to_string(c.reloptions, ', ') || ')')
    || coalesce(format(E'\\ncomment on table %s is %L;', c.relname, obj_description(c.oid, 'pg_class')), '')
    || coalesce(E'\\n' || (select string_agg(pg_get_indexdef(i.indexrelid) || ';', E'\\n' order by i.indexrelid::regclass::text)
        from pg_index i where i.indrelid = c.oid
          and not exists (select from pg_constraint k where k.conindid = i.indexrelid)), '')
    || coalesce(E'\\n' || (select string_agg(pg_get_triggerdef(t.oid) || ';' || case t.tgenabled when 'A'
          then format(E'\\nalter table %s enable always trigger %s;', c.relname, t.tgname) else '' end, E'\\n' order by t.tgname)
        from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal), '') as text
  from pg_class c cross join lateral (
      select 0 as kind, a.attnum::int as at, a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
          || coalesce((select ' collate "' || l.collname || '"' from pg_collation l where l.oid = a.attcollation and l.collname = 'C'), '')
          || coalesce(' default ' || pg_get_expr(f.adbin, f.adrelid), '')
          || case when a.attnotnull then ' not null' else '' end as line
        from pg_attribute a left join pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      union all
      select 1, 10000, 'constraint ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
        from pg_constraint k where k.conrelid = c.oid and k.contype <> 'n') d
  where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
  group by c.oid, c.relname, c.reloptions order by c.relname`

const views = `
  select format(E'create view %s as\\n%s', c.relname, pg_get_viewdef(c.oid, true)) as text
  from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'v' order by c.relname`

const functions = `
  select rtrim(pg_get_functiondef(p.oid), E'\\n') || ';' as text
  from pg_proc p where p.pronamespace = 'public'::regnamespace order by p.oid::regprocedure::text`

const grants = `
  with granted as (
    select c.relname::text as what, null::text as field, c.relowner as owner, c.relacl as acl
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
    union all
    select c.relname, a.attname, c.relowner, a.attacl from pg_attribute a join pg_class c on c.oid = a.attrelid
      where c.relnamespace = 'public'::regnamespace and a.attacl is not null
    union all
    select 'function ' || p.oid::regprocedure, null, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
      from pg_proc p where p.pronamespace = 'public'::regnamespace
    union all
    select 'schema public', null, n.nspowner, n.nspacl from pg_namespace n where n.nspname = 'public'
  ), one as (
    select what, grantee, lower(privilege_type) || coalesce(' (' || string_agg(field, ', ' order by field) || ')', '') as privilege
      from granted cross join lateral aclexplode(acl) where grantee <> owner group by what, grantee, privilege_type
  )
  select format('grant %s on %s to %s;', string_agg(privilege, ', ' order by privilege), what,
      case grantee when 0 then 'public' else grantee::regrole::text end) as text
  from one where grantee <> 'pg_database_owner'::regrole group by what, grantee order by what, grantee`

export const dumpSchema = (sql: PgClient.PgClient) =>
  Effect.map(
    Effect.forEach([tables, views, functions, grants], (query) => Effect.flatMap(sql.unsafe(query), decodeTexts)),
    ([made = [], viewed = [], written = [], granted = []]) =>
      [
        "-- What the numbered files of this folder add up to. Written by the test that compares it; not applied by anything.\n" +
          "-- After a change of the schema: npx vitest run --configLoader native test/sql/Migrations.snapshot -u",
        ...[...made, ...viewed, ...written].map(({ text }) => text),
        granted.map(({ text }) => text).join("\n")
      ].join("\n\n") + "\n"
  )

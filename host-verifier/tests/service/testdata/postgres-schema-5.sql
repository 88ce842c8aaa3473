CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public.answered_challenges (
    digest bytea NOT NULL,
    expires_at bigint NOT NULL
);
CREATE TABLE public.api_tokens (
    id text NOT NULL,
    sha256 bytea NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    expires_at bigint
);
CREATE TABLE public.bans (
    ek_hash text NOT NULL,
    banned_at bigint NOT NULL,
    banned_by text NOT NULL,
    reason text NOT NULL
);
CREATE TABLE public.cluster_config (
    cluster text NOT NULL,
    section text NOT NULL,
    version bigint NOT NULL,
    generation bigint NOT NULL,
    document text,
    sha256 bytea,
    author text NOT NULL,
    comment text NOT NULL,
    changed_at bigint NOT NULL,
    rollback_of bigint
);
CREATE TABLE public.config_generation (
    id bigint NOT NULL,
    generation bigint NOT NULL,
    CONSTRAINT config_generation_id_check CHECK ((id = 1))
);
CREATE TABLE public.nodes (
    ek_hash text NOT NULL,
    ak_name bytea NOT NULL,
    spiffe_id text NOT NULL,
    cluster text NOT NULL,
    clock bigint,
    reset_count bigint,
    restart_count bigint,
    safe bigint,
    firmware_version bigint,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL
);
CREATE TABLE public.sessions (
    id bytea NOT NULL,
    login_id text NOT NULL,
    cluster text NOT NULL,
    policy text NOT NULL,
    spiffe_id text NOT NULL,
    ek_hash text NOT NULL,
    attributes text NOT NULL,
    issued_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    secret_sha256 bytea NOT NULL,
    reattest_at bigint DEFAULT 0 NOT NULL,
    renewed_at bigint,
    revoked_at bigint,
    renewal_nonce bytea,
    renewal_basis text
);
CREATE TABLE public.svid_authorities (
    trust_domain text NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    replica text NOT NULL,
    public bytea NOT NULL,
    chain bytea NOT NULL,
    roots bytea NOT NULL,
    not_before bigint NOT NULL,
    not_after bigint NOT NULL
);
CREATE TABLE public.svid_bundles (
    trust_domain text NOT NULL,
    sequence bigint NOT NULL
);
INSERT INTO public._sqlx_migrations VALUES (1, 'sessions nodes challenges', '2026-11-22 12:12:26.367542+00', true, '\xf53cbbf0d7b836f697f3d4fdf4712478adcb4be7ca93b3e767991c721a9318ba13760b16db789abaea4349fdcdb09e6e', 43817646);
INSERT INTO public._sqlx_migrations VALUES (2, 'renewal revocation bans', '2026-11-22 12:12:26.411947+00', true, '\xeb1659b2641ff77b6592b54b67f963b14dc275dc0eeada38a588e9c3a55038eb0bb3d8357c4a9b5b2a300fa89aa7acb9', 4701644);
INSERT INTO public._sqlx_migrations VALUES (3, 'cluster config', '2026-11-22 12:12:26.416876+00', true, '\xbe9fd5fca912e5b7bcaaef04eb4fcdf5b90c8fa26d4faa3327fc56fda707ba19ddebfbbdf64c817469acca8b9af70042', 6269935);
INSERT INTO public._sqlx_migrations VALUES (4, 'api tokens', '2026-11-22 12:12:26.423388+00', true, '\x30f91d70979bec3b9d66a60ad4af85daa7805a7ae1c29bf38d1b2e2c695bc5e3d794bf2f79392e651d8a7510840b223a', 7920137);
INSERT INTO public._sqlx_migrations VALUES (5, 'svid authorities', '2026-11-22 12:12:26.431564+00', true, '\x86037b32eed83813892dd18dfae82e8f87a7224c1bf0ddece3292c49435235c7bbe6ba6fddc40e326f5796c0db630386', 10730988);
INSERT INTO public.answered_challenges VALUES ('\x39870ce1a62e2e28f7157b99c7ca6ed1bac64289a94a26e412d6950d3677b025', 1795349846);
INSERT INTO public.answered_challenges VALUES ('\x52654ea6c9b8c882d059d3f5da2dd09fab3045d8ceaf4fe4e201f1f7289eadba', 1795349846);
INSERT INTO public.answered_challenges VALUES ('\x6c1e417b08d0b57d849033797a65b4a43f7769350da49b2ed5c206fe681fddf5', 1795349846);
INSERT INTO public.answered_challenges VALUES ('\x538f77efb8af571b44134a934da82d4ced2f343596548940688fb04db245f177', 1795349846);
INSERT INTO public.answered_challenges VALUES ('\x41e19c3adbc1fe8ca5e9e07e3819c577a5d5d8879d48bafc533543daca69cf25', 1795349847);
INSERT INTO public.answered_challenges VALUES ('\xf831ad334a2706849b46dc65c1d4f122d86a6137c6b1540ee89a3ff4786c6be8', 1795349847);
INSERT INTO public.api_tokens VALUES ('666791a25d9436b9', '\x76fcfc32d848d71bd0972a3a8ce49b2e1b2f2968edd80abd5a41a52761b60947', 'ci', 'operator', 1795349547, 'command line', NULL);
INSERT INTO public.bans VALUES ('ec813e2893b7f0550762fa6d66a6c8df92a2cc0daea4461e60cb1a68690895e9', 1795349547, 'local:root', 'stolen from rack 7');
INSERT INTO public.cluster_config VALUES ('spare', 'AgentAttestation', 1, 1, 'section: AgentAttestation
schema: v1
spec:
  policies:
  - name: rack
    requiredAttestors:
    - type: tpm_ek
      config: {allowedHashes: ["1111111111111111111111111111111111111111111111111111111111111111"]}
', '\xda0d94bd4a1d4b5769b6d3f0ce8661db6d6f8f747a4d543825992011a23a4dc9', 'local:root', 'as agreed', 1795349547, NULL);
INSERT INTO public.config_generation VALUES (1, 1);
INSERT INTO public.nodes VALUES ('ec813e2893b7f0550762fa6d66a6c8df92a2cc0daea4461e60cb1a68690895e9', '\x000beb151790e75e79ca40814cf02da799f10212580c75a7e70c64560b8e258a9b68', 'spiffe://example.org/node/ec813e2893b7f0550762fa6d66a6c8df92a2cc0daea4461e60cb1a68690895e9', 'lab', 1000, 7, 0, 1, 2315976112670244864, 1795349546, 1795349546);
INSERT INTO public.nodes VALUES ('5d9aa220a8810fc128dfc938dfa0a022a3adca28332b23e15b0a2309fb9e83cc', '\x000be54bad00263164a9e3fbc0ab2075f4aa928509ec8ad1c75945d15dcccbd1cf38', 'spiffe://example.org/node/5d9aa220a8810fc128dfc938dfa0a022a3adca28332b23e15b0a2309fb9e83cc', 'lab', 1000, 7, 0, 1, 2315976112670244864, 1795349546, 1795349547);
INSERT INTO public.sessions VALUES ('\xeb4fe0a985a045d64d8b49ebc0bcb763', '73cdc77092e86591283556fd8fbba067', 'lab', 'rack', 'spiffe://example.org/node/5d9aa220a8810fc128dfc938dfa0a022a3adca28332b23e15b0a2309fb9e83cc', '5d9aa220a8810fc128dfc938dfa0a022a3adca28332b23e15b0a2309fb9e83cc', '[["tpm_ek","tpm_ek.public_hash","5d9aa220a8810fc128dfc938dfa0a022a3adca28332b23e15b0a2309fb9e83cc"],["tpm_quote","tpm_quote.pcr.sha256.0","0000000000000000000000000000000000000000000000000000000000000000"],["tpm_quote","tpm_quote.pcr.sha256.7","0000000000000000000000000000000000000000000000000000000000000000"],["tpm_quote","tpm_quote.clock_safe","true"],["tpm_quote","tpm_quote.firmware_version","2024000100000000"],["tpm_quote","tpm_quote.reset_count","7"],["tpm_quote","tpm_quote.restart_count","0"]]', 1795349546, 1795353146, '\xaa7b86e9ce974537e1666e57afb61d6993ac281f73e9530e54799c66501dc233', 1795435946, NULL, 1795349546, '\x0cf98d6347f0f2294b7891580c6e343927ff3b1b573616c2744828c6c442a436', '{"akPublic":"ACMACwAFBHIAAAAQABgACwADABAAIL00Sb0dCFzEm3Ob7Nk2xDHnGXI8muXoMI0sAL+amcK4ACC7vTOGmGaCTZ7/DVYnuHbRKWotROcKowlD/1BHqVB6Xw==","selection":"AQuBAQ==","valuesSha256":"f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b","boot":{"clock":1000,"resetCount":7,"restartCount":0,"safe":true,"firmwareVersion":2315976112670244864},"quotedAt":"2026-11-22T12:12:26Z","configuration":"0@db3b90688e56e5a6fad20a66a2ae61e984931531754592665915de480d7a0666"}');
INSERT INTO public.sessions VALUES ('\x5ef7348b9efe4ee45d3a7df614ab1e60', 'eeb9542cb0d3312b9a621324ddfbee90', 'lab', 'rack', 'spiffe://example.org/node/5d9aa220a8810fc128dfc938dfa0a022a3adca28332b23e15b0a2309fb9e83cc', '5d9aa220a8810fc128dfc938dfa0a022a3adca28332b23e15b0a2309fb9e83cc', '[["tpm_ek","tpm_ek.public_hash","5d9aa220a8810fc128dfc938dfa0a022a3adca28332b23e15b0a2309fb9e83cc"],["tpm_quote","tpm_quote.pcr.sha256.0","0000000000000000000000000000000000000000000000000000000000000000"],["tpm_quote","tpm_quote.pcr.sha256.7","0000000000000000000000000000000000000000000000000000000000000000"],["tpm_quote","tpm_quote.clock_safe","true"],["tpm_quote","tpm_quote.firmware_version","2024000100000000"],["tpm_quote","tpm_quote.reset_count","7"],["tpm_quote","tpm_quote.restart_count","0"]]', 1795349547, 1795353147, '\xfc38b20f5ae18f190ec13bba4dc7a713d6e4fc2eeffe735995d7e05729beb18d', 1795435947, NULL, NULL, '\xe20a77f485000f4730ae3cfff6ccadba87d380bda007a378ae1f4512c0d7aa9b', '{"akPublic":"ACMACwAFBHIAAAAQABgACwADABAAIL00Sb0dCFzEm3Ob7Nk2xDHnGXI8muXoMI0sAL+amcK4ACC7vTOGmGaCTZ7/DVYnuHbRKWotROcKowlD/1BHqVB6Xw==","selection":"AQuBAQ==","valuesSha256":"f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b","boot":{"clock":1000,"resetCount":7,"restartCount":0,"safe":true,"firmwareVersion":2315976112670244864},"quotedAt":"2026-11-22T12:12:27Z","configuration":"0@db3b90688e56e5a6fad20a66a2ae61e984931531754592665915de480d7a0666"}');
INSERT INTO public.sessions VALUES ('\x7550d569ecbaa532ab339e3a3010fcdb', '5f892e535791e02c0d0e099a40f102f0', 'lab', 'rack', 'spiffe://example.org/node/ec813e2893b7f0550762fa6d66a6c8df92a2cc0daea4461e60cb1a68690895e9', 'ec813e2893b7f0550762fa6d66a6c8df92a2cc0daea4461e60cb1a68690895e9', '[["tpm_ek","tpm_ek.public_hash","ec813e2893b7f0550762fa6d66a6c8df92a2cc0daea4461e60cb1a68690895e9"],["tpm_quote","tpm_quote.pcr.sha256.0","0000000000000000000000000000000000000000000000000000000000000000"],["tpm_quote","tpm_quote.pcr.sha256.7","0000000000000000000000000000000000000000000000000000000000000000"],["tpm_quote","tpm_quote.clock_safe","true"],["tpm_quote","tpm_quote.firmware_version","2024000100000000"],["tpm_quote","tpm_quote.reset_count","7"],["tpm_quote","tpm_quote.restart_count","0"]]', 1795349546, 1795353146, '\x17a354c3d5ef57230027242fa7cb0ebba829458d91d7cdf442ba1bbbc6e010f6', 1795435946, NULL, 1795349547, '\x2b61ab3ab69e38966d0cbbb991919b131551ce015c522e2dd879179f4e274754', '{"akPublic":"ACMACwAFBHIAAAAQABgACwADABAAIB/5nuIeKTRv+LaiMibh5qujdPziyy7lzM9G/rBavs/oACBscKDJdw9w87AZZ3FGRRrHHG/RLmm+S/B5NZYH+PEEhg==","selection":"AQuBAQ==","valuesSha256":"f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b","boot":{"clock":1000,"resetCount":7,"restartCount":0,"safe":true,"firmwareVersion":2315976112670244864},"quotedAt":"2026-11-22T12:12:26Z","configuration":"0@db3b90688e56e5a6fad20a66a2ae61e984931531754592665915de480d7a0666"}');
INSERT INTO public.svid_authorities VALUES ('example.org', '467cb258f719f75b54853e0729b4d5e7d67ca9d6', 'x509', 'active', '46afc410ffd4a1bd0fe82c2fdb411893', '\x30820233308201d9a00302010202145b35181b8367489913785a444656ca72f9c3527d300a06082a8648ce3d0403023054310f300d060355040a0c06535049464645310e300c06035504030c0541737361793131302f0603550405132834363763623235386637313966373562353438353365303732396234643565376436376361396436301e170d3236313132323132313132365a170d3236313132333132313232365a3054310f300d060355040a0c06535049464645310e300c06035504030c0541737361793131302f06035504051328343637636232353866373139663735623534383533653037323962346435653764363763613964363059301306072a8648ce3d020106082a8648ce3d030107034200045f01c0bb71b6b3b007fcc293148681dc213857a2d486823f7ab2b218f9c1c77eae5e0fb61b17157cfa75aa58f4c1a01f128a24488569f8d5bf5c9b22e39df65ba38188308185300e0603551d0f0101ff04040302010630120603551d130101ff040830060101ff020100301d0603551d0e04160414467cb258f719f75b54853e0729b4d5e7d67ca9d6301f0603551d23041830168014467cb258f719f75b54853e0729b4d5e7d67ca9d6301f0603551d110418301686147370696666653a2f2f6578616d706c652e6f7267300a06082a8648ce3d040302034800304502203504171e613a9e0f49e2db1307b7e5dda364d45658da59c9abb0ff15220960eb022100d65f891181c06e36c8085292130363b11d08f9db1ffa71b363c74855baef180f', '\x', '\x30820233308201d9a00302010202145b35181b8367489913785a444656ca72f9c3527d300a06082a8648ce3d0403023054310f300d060355040a0c06535049464645310e300c06035504030c0541737361793131302f0603550405132834363763623235386637313966373562353438353365303732396234643565376436376361396436301e170d3236313132323132313132365a170d3236313132333132313232365a3054310f300d060355040a0c06535049464645310e300c06035504030c0541737361793131302f06035504051328343637636232353866373139663735623534383533653037323962346435653764363763613964363059301306072a8648ce3d020106082a8648ce3d030107034200045f01c0bb71b6b3b007fcc293148681dc213857a2d486823f7ab2b218f9c1c77eae5e0fb61b17157cfa75aa58f4c1a01f128a24488569f8d5bf5c9b22e39df65ba38188308185300e0603551d0f0101ff04040302010630120603551d130101ff040830060101ff020100301d0603551d0e04160414467cb258f719f75b54853e0729b4d5e7d67ca9d6301f0603551d23041830168014467cb258f719f75b54853e0729b4d5e7d67ca9d6301f0603551d110418301686147370696666653a2f2f6578616d706c652e6f7267300a06082a8648ce3d040302034800304502203504171e613a9e0f49e2db1307b7e5dda364d45658da59c9abb0ff15220960eb022100d65f891181c06e36c8085292130363b11d08f9db1ffa71b363c74855baef180f', 1795349486, 1795435946);
INSERT INTO public.svid_authorities VALUES ('example.org', '65d9450f548640b9d3105d82333e25d25df189fe', 'jwt', 'active', '46afc410ffd4a1bd0fe82c2fdb411893', '\x3059301306072a8648ce3d020106082a8648ce3d03010703420004d8d872b5e31006c708df3385ebd9c729b76bac19824811380558b08c45a8fb1ca834cbd91e54ef763e033df437b04735fab88006a67e3a80c411e9f084dd9b5a', '\x', '\x', 1795349486, 1795435946);
INSERT INTO public.svid_bundles VALUES ('example.org', 2);
ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.answered_challenges
    ADD CONSTRAINT answered_challenges_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_sha256_key UNIQUE (sha256);
ALTER TABLE ONLY public.bans
    ADD CONSTRAINT bans_pkey PRIMARY KEY (ek_hash);
ALTER TABLE ONLY public.cluster_config
    ADD CONSTRAINT cluster_config_pkey PRIMARY KEY (cluster, section, version);
ALTER TABLE ONLY public.config_generation
    ADD CONSTRAINT config_generation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT nodes_ak_name_key UNIQUE (ak_name);
ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT nodes_pkey PRIMARY KEY (ek_hash);
ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT nodes_spiffe_id_key UNIQUE (spiffe_id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.svid_authorities
    ADD CONSTRAINT svid_authorities_pkey PRIMARY KEY (trust_domain, id);
ALTER TABLE ONLY public.svid_bundles
    ADD CONSTRAINT svid_bundles_pkey PRIMARY KEY (trust_domain);
CREATE INDEX answered_challenges_expires_at ON public.answered_challenges USING btree (expires_at);
CREATE INDEX cluster_config_generation ON public.cluster_config USING btree (generation);
CREATE INDEX cluster_config_version ON public.cluster_config USING btree (cluster, version);
CREATE INDEX nodes_last_seen ON public.nodes USING btree (last_seen);
CREATE INDEX sessions_ek_hash ON public.sessions USING btree (ek_hash);
CREATE INDEX sessions_expires_at ON public.sessions USING btree (expires_at);
CREATE INDEX sessions_issued_at ON public.sessions USING btree (issued_at DESC, id);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_ek_hash_fkey FOREIGN KEY (ek_hash) REFERENCES public.nodes(ek_hash) ON DELETE CASCADE;
ALTER TABLE ONLY public.svid_authorities
    ADD CONSTRAINT svid_authorities_trust_domain_fkey FOREIGN KEY (trust_domain) REFERENCES public.svid_bundles(trust_domain);

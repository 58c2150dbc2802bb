//! The tables as sea-orm entities.

pub(super) mod fleet {
    use sea_orm::entity::prelude::*;

    /// Identifier of the only row.
    pub(crate) const ROW: i32 = 1;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "videoframes_fleet")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub active: Option<String>,
        pub previous: Option<String>,
        pub canary: Option<String>,
        pub canary_percent: Option<i32>,
        pub canary_until: Option<i64>,
        pub activated_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod worker {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "videoframes_workers")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub worker: String,
        pub revision: Option<String>,
        pub version: String,
        pub schema_migration: String,
        pub state: String,
        pub completed: i64,
        pub failed: i64,
        pub faults: i64,
        pub started_at: i64,
        pub seen_at: i64,
        pub slots: Option<i32>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

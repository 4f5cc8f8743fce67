# Runs once, when the database is created: a role for Grafana. `backscroll migrate --reader grafana` grants it the views.
psql --set ON_ERROR_STOP=1 --set password="$GRAFANA_DB_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE grafana LOGIN PASSWORD :'password';
SQL

-- Whose rounds an unknown name shows is found by the salt.
CREATE INDEX account_rounds ON account (salt, iterations);
